/* What ways.c needs of a C library on Linux on ARM: no library has to be built for it then. */

#include <stddef.h>

enum { WRITE = 64, EXIT = 93, MEMORY = 1 << 20 };

int main(void);

static long call_system(long number, long first, long second, long third)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = first, x1 __asm__("x1") = second, x2 __asm__("x2") = third;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

_Noreturn void _start(void)
{
    call_system(EXIT, main(), 0, 0);
    __builtin_unreachable();
}

long write(int file, const void *bytes, size_t size)
{
    return call_system(WRITE, file, (long)bytes, (long)size);
}

void *malloc(size_t size)
{
    static char memory[MEMORY];
    static size_t used;
    void *given = memory + used;
    used += size;
    return used <= MEMORY ? given : NULL;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)to)[i] = (char)byte;
    return to;
}

/* Clang compares with bcmp where only equality matters. */
int bcmp(const void *one, const void *other, size_t size)
{
    const char *a = one, *b = other;
    int differs = 0;
    for (size_t i = 0; i < size; i++)
        differs |= a[i] != b[i];
    return differs;
}

int memcmp(const void *one, const void *other, size_t size)
{
    const unsigned char *a = one, *b = other;
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i])
            return a[i] - b[i];
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}
