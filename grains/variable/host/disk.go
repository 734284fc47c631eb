package host

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system as pebble is given it: one that never fails while it is written.
//
// Pebble ends the process when it cannot write its log, sync the directory of a new one, or close the old
// one (rotateWAL panics while its own mutex is unlocked, which no recover mends), and it tries a failed
// flush again without a pause. So the first failure is noted as the store's, and from then on what
// pebble writes is forgotten: new files are made in memory, old ones stay as they are, nothing is removed.
// Nothing is acknowledged any more, because commit looks at the failure after pebble said that all is well;
// and since nothing reaches the disk after the failure, what is found there when the store is opened again
// is what was written up to some moment, and all that was acknowledged.
//
// Failures to read, to lock and to make the directory are pebble's to handle, and told to it.
type disk struct {
	vfs.FS
	store  *store
	memory vfs.FS // holds what is made after the failure
}

func newDisk(fs vfs.FS, s *store) (*disk, error) {
	d := &disk{FS: fs, store: s, memory: vfs.NewMem()}
	return d, d.memory.MkdirAll(s.dir, 0o755)
}

func (d *disk) failed() bool { return d.store.err() != nil }

// note notes the failure of an operation.
func (d *disk) note(what, name string, err error) {
	d.store.fail(fmt.Errorf("%s %s: %w", what, name, err))
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if !d.failed() {
		f, err := d.FS.Create(name, c)
		if err == nil {
			return &written{f, d, name}, nil
		}
		d.note("create", name, err)
	}
	return d.memory.Create(name, c)
}

func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if !d.failed() {
		f, err := d.FS.ReuseForWrite(old, name, c)
		if err == nil {
			return &written{f, d, name}, nil
		}
		d.note("rename", old, err)
	}
	return d.memory.Create(name, c)
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if !d.failed() {
		f, err := d.FS.OpenReadWrite(name, c, o...)
		if err == nil {
			return &written{f, d, name}, nil
		}
		d.note("open", name, err)
	}
	return d.memory.OpenReadWrite(name, c, o...)
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &written{f, d, name}, nil
}

func (d *disk) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if d.failed() {
		if f, err := d.memory.Open(name, o...); err == nil {
			return f, nil
		}
	}
	return d.FS.Open(name, o...)
}

func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.failed() {
		if i, err := d.memory.Stat(name); err == nil {
			return i, nil
		}
	}
	return d.FS.Stat(name)
}

// Link, Rename and Remove do in memory what they can once the disk has failed, and say that they did it.

func (d *disk) Link(old, name string) error {
	if d.failed() {
		_ = d.memory.Link(old, name)
		return nil
	}
	return d.FS.Link(old, name)
}

func (d *disk) Rename(old, name string) error {
	if d.failed() {
		_ = d.memory.Rename(old, name)
		return nil
	}
	return d.FS.Rename(old, name)
}

func (d *disk) Remove(name string) error {
	if d.failed() {
		_ = d.memory.Remove(name)
		return nil
	}
	return d.FS.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if d.failed() {
		_ = d.memory.RemoveAll(name)
		return nil
	}
	return d.FS.RemoveAll(name)
}

// written is a file that pebble writes, or a directory that it syncs.
type written struct {
	vfs.File
	disk *disk
	name string
}

// do does an operation unless the disk has failed, and returns what pebble is told. It is told that a
// table failed, because it would read it later and can make it anew, in memory.
func (f *written) do(what string, operation func() error) error {
	if !f.disk.failed() {
		err := operation()
		if err == nil {
			return nil
		}
		f.disk.note(what, f.name, err)
	}
	if strings.HasSuffix(f.name, ".sst") || strings.HasSuffix(f.name, ".blob") {
		return f.disk.store.err()
	}
	return nil
}

func (f *written) Write(b []byte) (int, error) {
	if err := f.do("write", func() error { _, err := f.File.Write(b); return err }); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *written) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.do("write", func() error { _, err := f.File.WriteAt(b, offset); return err }); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *written) Sync() error     { return f.do("sync", f.File.Sync) }
func (f *written) SyncData() error { return f.do("sync", f.File.SyncData) }

func (f *written) SyncTo(n int64) (full bool, err error) {
	err = f.do("sync", func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// Close closes the file whatever has failed.
func (f *written) Close() error {
	err := f.File.Close()
	return f.do("close", func() error { return err })
}
