/* What all pages of a journal have in common (journal.h), and where a stream's journal is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tickbus/journal.h>

#define FRONT 256 /* so much at once, and whole multiples of it, is what CRCs are fastest at */

/* Of the page with its crc field 0: the front of it from a copy that has it so. */
static uint32_t page_crc(const void *page)
{
    TB_ALIGNAS(64) unsigned char front[FRONT];
    memcpy(front, page, FRONT);
    memset(front + offsetof(struct tb_journal_page, crc), 0, sizeof(uint32_t));
    return tb_crc32c(tb_crc32c(0, front, FRONT), (const char *)page + FRONT,
                     TB_JOURNAL_PAGE - FRONT);
}

void tb_journal_page_seal(void *page)
{
    struct tb_journal_page *header = page;
    header->magic = TB_JOURNAL_MAGIC;
    header->layout = TB_JOURNAL_LAYOUT;
    header->crc = page_crc(page);
}

const char *tb_journal_page_check(const void *page, enum tb_journal_kind kind, uint64_t epoch)
{
    struct tb_journal_page header;
    memcpy(&header, page, sizeof(header));
    if (header.magic != TB_JOURNAL_MAGIC)
        return header.magic == 0 ? "it was not written" : "it is no page of a journal";
    if (header.crc != page_crc(page))
        return "its checksum is wrong";
    if (header.layout != TB_JOURNAL_LAYOUT)
        return "another layout";
    if (header.kind != (uint16_t)kind)
        return "a page of another kind";
    if (epoch != 0 && header.epoch != epoch)
        return "a page of another epoch";
    if (header.count >
        (kind == TB_JOURNAL_INSTRUMENTS_KIND ? TB_JOURNAL_INSTRUMENTS : TB_JOURNAL_RECORDS))
        return "more entries than a page has room for";
    return NULL;
}

int tb_journal_directory(const char *journal, const char *bus, const char *stream, char *out_path,
                         size_t path_bytes, struct tb_error *err)
{
    if (!tb_name_check(bus))
        return tb_fail(err, -EINVAL, "\"%.40s\" is no name of a bus", bus);
    if (!tb_name_check(stream))
        return tb_fail(err, -EINVAL, "\"%.40s\" is no stream name", stream);
    int length = snprintf(out_path, path_bytes, "%s/%s/%s", journal, bus, stream);
    if (length < 0 || (size_t)length >= path_bytes)
        return tb_fail(err, -ENAMETOOLONG, "path too long: %.100s...", journal);
    return 0;
}
