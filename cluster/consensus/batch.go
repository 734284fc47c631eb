package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An entry of the raft log is a batch: one byte of format version, then each
// entry as its length (uvarint) and its bytes. A batch of none is legal; it is
// what confirms leadership.
const batchVersion = 1

var errTornBatch = errors.New("batch ends inside an entry")

// batchSize bounds the encoded size of an entry inside a batch.
func batchSize(entry []byte) int { return binary.MaxVarintLen32 + len(entry) }

func appendEntry(batch, entry []byte) []byte {
	batch = binary.AppendUvarint(batch, uint64(len(entry)))
	return append(batch, entry...)
}

// splitBatch returns the entries of a batch, in order. They alias the batch.
// The whole batch is checked before any entry is returned: a batch is applied
// as a whole or not at all.
func splitBatch(batch []byte) ([][]byte, error) {
	if len(batch) == 0 {
		return nil, errors.New("batch without a version")
	}
	if batch[0] != batchVersion {
		return nil, fmt.Errorf("batch of version %d, this silo reads version %d", batch[0], batchVersion)
	}
	var entries [][]byte
	for rest := batch[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return nil, errTornBatch
		}
		rest = rest[n:]
		entries = append(entries, rest[:size:size])
		rest = rest[size:]
	}
	return entries, nil
}
