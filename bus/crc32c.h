/* The two ways to compute tb_crc32c (journal.h), for the test that holds them against each
 * other. */
#ifndef TICKBUS_CRC32C_H
#define TICKBUS_CRC32C_H

#include <tickbus/base.h>

bool tb_crc32c_has_instruction(void);
uint32_t tb_crc32c_instruction(uint32_t crc, const void *bytes, size_t count);
uint32_t tb_crc32c_table(uint32_t crc, const void *bytes, size_t count);

#endif
