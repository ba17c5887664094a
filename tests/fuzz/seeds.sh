#!/usr/bin/env bash
# The seeds of a fuzz target, from the tests' fixtures and a few lines of its own.
#   tests/fuzz/seeds.sh TARGET FOLDER
set -euo pipefail
target=$1 out=$2
fixtures=$(realpath "$(dirname "$0")/../data/fixtures")
mkdir -p "$out"
cd "$out"

labels=any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural

seeds_nifti() { # the first byte: see fuzz_nifti.c
    local f name
    for f in "$fixtures"/*.nii "$fixtures"/*.nii.gz; do { printf 0 && cat "$f"; } >"plain-${f##*/}"; done
    for f in lps float64 nifti2; do { printf 1 && cat "$fixtures/$f.nii"; } >"packed-$f"; done
    for name in analyze pair spm spm_no_intercept; do
        { printf 2 && cat "$fixtures/$name.hdr" "$fixtures/$name.img"; } >"pair-$name"
    done
}

seeds_dicom() { cp "$fixtures"/dicom/*.dcm .; }

seeds_tables() {
    printf 'ID,Label\n' >rsna
    for type in epidural intraparenchymal intraventricular subarachnoid subdural any; do
        printf 'ID_12cadc6af_%s,%d\nID_38fd7baa0_%s,0\n' $type $((${#type} % 2)) $type >>rsna
    done
    head -n 3 rsna | tail -n 2 >>rsna # some rows are there twice
    local reader line=name,Category row=CQ500-CT-1,B1
    for reader in R1 R2 R3; do
        line+=$(printf ",$reader:%s" ICH IPH IVH SDH EDH SAH BleedLocation-Left ChronicBleed)
        row+=,1,0,1,0,0,1,1,0
    done
    printf '%s\n%s\n' "$line" "$row" >cq500
    printf 'study_id,patient_id,%s\na,p,1,0,0,,0,1\n"b ""c""\nd",,0,0,0,0,0,0\n' $labels >studies
    printf '\xef\xbb\xbfstudy_id,any\r\na,1\r\n\r\nb,\r\n' >crlf
    printf 'x,y\n1e9,-0.5\n,+3E-2\n1e999,0x10\n' >numbers
}

seeds_dataset() {
    local studies="study_id,patient_id,path,$labels"
    printf '%s,split\na,p,volumes/a.nii.gz,1,0,0,0,0,1,train\nb,q,volumes/b.nii,0,0,0,0,0,0,val\n' "$studies" >split
    printf '%s\na,p,volumes/a.nii.gz,1,0,0,0,0,\nb,p,b.hdr,,,,,,\n== slices.csv\nstudy_id,slice_index,image_id,%s\na,0,i0,1,0,0,0,0,1\na,1,i1,0,0,0,0,0,0\nc,0,,1,,,,,\n' \
        "$studies" $labels >slices
    printf 'path,study_id,patient_id,extra,%s\n../a.nii,a,p,x,1,0,0,0,0,1\n' $labels >outside
    printf '%s\n/etc/passwd,p,/etc/passwd,1,0,0,0,0,1\n' "$studies" >absolute
}

seeds_recipe() {
    printf '[model]\narch = resnet18\nsize = 224\nwindows = 40/80,80/200,40/380\nhidden = 128\n\n[training]\nlr = 3e-5\nepochs = 10 ; few\n' >first
    printf '[model]\narch=densenet121\ngated=false\nheads=4\n[training]\noptimizer=sgd\nschedule=cosine\nwarmup=0.5\nclip=1\n[augmentation]\naugment=off\n[run]\nseed=18446744073709551615\nthreads=2\nkernels=reference\n' >second
    printf '\xef\xbb\xbf# a comment\r\n[predict]\r\nheatmaps = true\r\n[model]\r\nwindows = 40/80\r\n' >crlf
}

safetensors() { # JSON BYTES: a file with that header and that many bytes of data
    local json=$1 n
    while [ $((${#json} % 8)) -ne 0 ]; do json+=' '; done
    n=${#json}
    printf "$(printf '\\x%02x\\x%02x' $((n % 256)) $((n / 256)))\\0\\0\\0\\0\\0\\0%s" "$json"
    head -c "$2" /dev/zero | tr '\0' '?'
}

seeds_model() {
    local model='"format":"ichor/1","arch":"resnet18","heads":"image,study","version":"0.1.0"'
    safetensors '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}' 24 >f32
    safetensors '{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}' 10 >half
    safetensors '{"n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"d":{"dtype":"F64","shape":[2,1],"data_offsets":[8,24]}}' 24 >f64
    safetensors '{"e":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]}}' 0 >empty
    safetensors '{"__metadata__":{"format":"pt"},"conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' 4 >torch
    safetensors "{\"__metadata__\":{$model,\"recipe\":\"[model]\\nsize = 32\\narch = resnet18\\n\"},\"conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}" 8 >model
    safetensors "{\"__metadata__\":{$model,\"recipe\":\"[model]\\nhidden = 4096\\nattention = 4096\\nheads = 64\\nsize = 2048\\n\"}}" 0 >greedy
}

seeds_reports() {
    local n=0 report
    while IFS= read -r report; do # single lines of the labelled sets, the quotes included
        printf '%s\n' "$report" >"report-$n"
        n=$((n + 1))
    done < <(cut -d, -f2- "$fixtures/reports.csv" | awk 'NR % 5 == 2')
    printf 'HISTORY: SAH.\nFINDINGS:\n1. Left SDH, 5 mm.\n2. No EDH; neither IVH nor SAH.\n\nIMPRESSION: Cannot exclude a tiny ICH.\n' >sections
    printf '\xc3\x89tude: p\xc3\xa9rich\xc3\xa9e, 3,5 x 2.0 cm \xe2\x80\x94 caf\xc3\xa9\r\n\xff\xfe\n' >bytes
}

seeds_lexicon() {
    local own='[define]\nsize = (small|large|tiny|)\n[spelling]\nhaem = hem\n[abbreviations]\nedh\n[finding: epidural]\nedh\n[blood: any]\n<size> (hemorrhage|bleed)\n[kind: subdural subarachnoid]\nsub(-|)dural\n[place: subdural]\nconvexity\n[deny before]\nno # as in NegEx\n[doubt after]\ncannot be excluded\n[section impression]\nimpression\n'
    local reports='== reports\nstudy_id,report\n1,"No large haemorrhage. EDH."\n2,"IMPRESSION:\nSubdural bleed cannot be excluded."\n'
    printf "$own$reports" >own
    printf "[blood]\nred\n$reports" >wrong
    printf "[blood: any]\n((a|b|)(c|d)|e)(f|g)(h|)\n${reports}3,\n" >groups
    printf "$own== reports\nstudy_id,words\n" >table
}

"seeds_$target"
