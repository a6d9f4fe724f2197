/*
 * CRC32C (Castagnoli), as iSCSI, ext4 and Btrfs use it: of ISA-L, which knows what each processor does best
 * (folding by carry-less multiplication, 512 bits wide where there is that: twice as fast as three
 * interleaved chains of the CRC instruction; the PMULL and CRC instructions on arm64; tables anywhere).
 */
#include <isa-l/crc.h>

#include <tickbus/journal.h>

#define STEP_MAX ((size_t)1 << 30) /* its lengths are ints */

uint32_t tb_crc32c(uint32_t crc, const void *bytes, size_t count)
{
    unsigned char *p = (unsigned char *)(uintptr_t)bytes; /* it has no const, and only reads */
    crc = ~crc;
    while (count > 0) {
        size_t step = count < STEP_MAX ? count : STEP_MAX;
        crc = crc32_iscsi(p, (int)step, crc);
        p += step;
        count -= step;
    }
    return ~crc;
}
