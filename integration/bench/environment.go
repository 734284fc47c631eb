package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/martinelli-go/martinelli/integration/internal/report"
)

// environment says where the figures come from.
func (b *bench) environment() string {
	line := report.Machine()
	if cost, err := syncCost(b.results); err != nil {
		line += ", fsync: " + err.Error()
	} else {
		line += fmt.Sprintf(", fsync of 4 KiB %v", cost.Round(time.Microsecond))
	}
	return line
}

// syncCost is the median time of an append of 4 KiB and its fsync in a directory: what no purchase can
// be faster than, and close to nothing where the file system is memory.
func syncCost(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	costs := make([]time.Duration, 101)
	for i := range costs {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		costs[i] = time.Since(start)
	}
	slices.Sort(costs)
	return costs[len(costs)/2], nil
}
