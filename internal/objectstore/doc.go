// Package objectstore stores staged batches, segments and manifests. It has the interface of a Store, the durable
// store in a folder, and the format of an object with batches. Package cloud below has the other stores.
//
// The package defines the format of an object and when it counts as stored. It never decides
// which batches are in an object or block, and never deletes an object unless it is asked to.
// Only Frames and Reader, which are for commands, repeat requests.
//
// # Object format, version 3
//
// All numbers are little-endian; every CRC is CRC-32C (Castagnoli).
//
//	header   magic "LANEWAYO" · version u32 · CRC u32 of the 12 bytes before
//	batch    head · payload
//	block    head of block · frames, compressed
//	         batches and blocks follow each other without gaps
//	head     mark "LBAT" · payload length u32 · payload CRC u32 ·
//	         topic id u64 · partition i32 · frontend epoch u64 ·
//	         ticket number u64 · record count u32 ·
//	         first sequence i32 · producer id i64 · producer epoch i16 ·
//	         topic length u16 · lane length u16 · message id length u16 ·
//	         topic · lane · message id ·
//	         CRC u32 of the head up to here
//	head of block
//	         mark "LBLK" · frames length u32 · frames CRC u32, of the compressed frames ·
//	         codec u8 (1 s2, 2 zstd) · number of batches u32 ·
//	         heads length u32 · frames length u32, both when they are decompressed ·
//	         topic id u64 · partition i32 · frontend epoch u64 · topic length u16 · topic ·
//	         heads of the batches, compressed ·
//	         CRC u32 of the head up to here
//	head in a block
//	         CRC u32 of the frame · frame length · ticket number · record count ·
//	         first sequence · producer id · producer epoch · lane length · message id length,
//	         all but the CRC as varints of their unsigned forms · lane · message id
//	index    per batch or block: offset of its head u64 · head length u32 ·
//	         length u32 and CRC u32 of its payload or compressed frames
//	trailer  number of batches and blocks u32 · size of the object u64 ·
//	         CRC u32 of index and trailer up to here · magic "LANEWAYE"
//
// A block has batches of one partition that are compressed together. Its frames follow each
// other in the order of their heads.
//
// The head of a batch has everything that is needed to send the batch again, so batches whose
// log entries are lost can be exported (see internal/repair). The trailer is written last, so
// an object without its end is recognized as torn.
package objectstore
