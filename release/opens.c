/* Opens the compiled library of a wheel as Python does, and calls it: `opens LIBRARY`.
 *
 * Prints the way of storing packets that it chose for this processor. For machines on which the
 * wheel cannot be imported, for lack of a Python for them.
 */

#include <stdint.h>
#include <stdio.h>

#ifdef _WIN32
#include <windows.h>
#define OPEN(path) ((void *)LoadLibraryA(path))
#define FIND(library, name) ((void *)GetProcAddress((HMODULE)(library), name))
#else
#include <dlfcn.h>
#define OPEN(path) dlopen(path, RTLD_NOW)
#define FIND(library, name) dlsym(library, name)
#endif

enum { FASTEST = 3 };
static const uint32_t CRC_OF_DIGITS = 0xCBF43926; /* the check value of CRC-32 in zlib */

int main(int count, char **arguments)
{
    void *library = count == 2 ? OPEN(arguments[1]) : NULL;
    if (!library)
        return puts("the library does not open"), 1;
    void (*prepare)(void) = (void (*)(void))FIND(library, "prepare_checksum");
    int64_t (*checksum)(const void *, int64_t) =
        (int64_t(*)(const void *, int64_t))FIND(library, "checksum");
    int64_t (*use_way)(int64_t) = (int64_t(*)(int64_t))FIND(library, "use_way");
    if (!prepare || !checksum || !use_way)
        return puts("a function is missing"), 1;
    prepare();
    if (checksum("123456789", 9) != CRC_OF_DIGITS)
        return puts("its checksums are wrong"), 1;
    printf("way %d\n", (int)use_way(FASTEST));
    return 0;
}
