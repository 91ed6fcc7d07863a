/* Prints the greeting that its package put below the prefix it was built for.
 *
 * The prefix is in several strings: alone, with a suffix, and twice in one. The first must differ in its end from
 * the others: a linker lets a string share another's tail, and a shared tail moves when a shorter prefix is put in.
 *
 *   greeting           the greeting
 *   greeting --prefix  each built-in path on a line
 *   greeting SCRIPT    the greeting, then SCRIPT's lines that are no comments (so that it can be a "#!" interpreter)
 */
#include <stdio.h>
#include <string.h>

static const char *const prefix = PREFIX;
static const char *const text = PREFIX "/share/greeting/hello.txt";
static const char *const search_path = PREFIX "/share/greeting:" PREFIX "/etc/greeting";

static int copy(const char *path, int comments)
{
    char line[4096];
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        perror(path);
        return 1;
    }
    while (fgets(line, sizeof line, file) != NULL)
        if (comments || line[0] != '#')
            fputs(line, stdout);
    fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--prefix") == 0) {
        printf("%s\n%s\n%s\n", prefix, text, search_path);
        return 0;
    }
    if (copy(text, 1) != 0)
        return 1;
    return argc > 1 ? copy(argv[1], 0) : 0;
}
