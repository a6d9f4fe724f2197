// Rows of a Parquet file as JSON lines, by a reader that is not ours: node read.mjs FILE. Integers of 64 bits and
// times (nanoseconds since 1970) are printed as strings, so that nothing is rounded on the way.
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const file = await asyncBufferFromFile(process.argv[2])
const metadata = await parquetMetadataAsync(file)
const columns = parquetSchema(metadata).children.map(c => c.element)
const exact = n => n
const rows = await parquetReadObjects({
  file, metadata, compressors,
  parsers: { timestampFromNanoseconds: exact },
})
const plain = (key, value) => typeof value === 'bigint' ? value.toString() : value
console.log(JSON.stringify({ columns, groups: metadata.row_groups.length, rows: metadata.num_rows }, plain))
for (const row of rows) {
  console.log(JSON.stringify(row, plain))
}
