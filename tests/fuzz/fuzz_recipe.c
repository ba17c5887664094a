/* recipe.ini: what is read is printed, read again, and the same. */
#include "data/recipe.h"
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>

static char *print(const ich_recipe *recipe) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    fuzz_hold(stream != NULL, "there is memory");
    ich_recipe_print(recipe, stream);
    fuzz_hold(fclose(stream) == 0, "there is memory");
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const char *path = fuzz_write("recipe.ini", bytes, count);
    ich_recipe recipe, again;
    ich_preprocess preprocess;
    ich_error err = {""};
    ich_recipe_default(&recipe, ICH_FOR_FINETUNE);
    ich_recipe_default(&again, ICH_FOR_PRETRAIN);
    if (!ich_recipe_read(&recipe, path, &err)) {
        fuzz_refused(&err, path);
        return 0;
    }
    char *text = print(&recipe);
    if (!ich_recipe_parse(&again, text, "printed", &err)) fuzz_hold(false, err.text);
    char *second = print(&again);
    fuzz_hold(!strcmp(text, second), "a recipe survives being printed and read");
    free(second);
    free(text);
    if (!ich_recipe_preprocess(&recipe, &preprocess, &err)) fuzz_refused(&err, "");
    fuzz_hold(ich_recipe_chunk(&recipe) >= 1, "a chunk has slices");
    return 0;
}
