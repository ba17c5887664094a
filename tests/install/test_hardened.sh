#!/usr/bin/env bash
# What cmake/hardening.cmake asks of the compiler is read back out of the program and the library.
. "$(dirname "$0")/../cli/lib.sh"
library=$(dirname "$ichor")/libichor.so
processor=$(uname -m)

test_the_program_is_placed_anywhere() {
    readelf -h "$ichor" >head && grep -qE '^ *Type: *DYN ' head && readelf -d "$ichor" >dynamic && holds dynamic PIE
}

test_tables_of_the_linker_are_read_only_from_the_start() {
    local file
    for file in "$ichor" "$library"; do
        readelf -lW "$file" >segments && holds segments GNU_RELRO && readelf -d "$file" >dynamic && holds dynamic BIND_NOW &&
            ! grep -q TEXTREL dynamic || fail "$file" || return
    done
}

test_nothing_is_both_written_and_run() {
    local file
    for file in "$ichor" "$library"; do
        readelf -lW "$file" >segments && grep -qE 'GNU_STACK.* RW +0x' segments && ! grep -E ' RWE ' segments || fail "$file" || return
    done
}

test_returns_are_guarded_and_copies_measured() {
    local file
    for file in "$ichor" "$library"; do
        readelf -W --dyn-syms "$file" >symbols && holds symbols __stack_chk_fail __snprintf_chk __memcpy_chk || fail "$file" || return
    done
}

test_jumps_land_on_pads_and_large_frames_touch_each_page() {
    [ "$processor" = x86_64 ] || return 0
    objdump -d --no-show-raw-insn --disassemble=main "$ichor" | grep -A 1 '<main>:' >main && holds main endbr64 || return
    # ich_cgroup_visit keeps a path of 4 KiB on its stack
    objdump -d --no-show-raw-insn --disassemble=ich_cgroup_visit "$ichor" >frame && grep -qE 'or[lq]? +\$0x0,' frame || fail "$(head -n 20 frame)"
}

run_tests
