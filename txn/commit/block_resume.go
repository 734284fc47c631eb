package commit

// NewBlockAfter begins a block of which attempts up to n were made and are aborted: by another
// coordinator of the same ID, on behalf of which the call is retried.
func NewBlockAfter(id ID, ts Timestamp, n uint32) *Block {
	b := &Block{id: id, ts: ts, n: n}
	b.begin()
	return b
}

// Reads lists what the attempt's records have read so far.
func (b *Block) Reads() []Read {
	var reads []Read
	for _, g := range b.order {
		reads = append(reads, b.records[g].Reads...)
	}
	return reads
}
