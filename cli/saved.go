package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// The pauses between two writes of the configuration: a second, and longer where
// writing takes long, so that it costs at most a fiftieth of the time.
const (
	savePause    = time.Second
	savePauseFor = 50
)

// savedConfig keeps the configuration in force in a file, so that a program that
// is started again serves at once. The file holds private keys: only its owner
// may read it.
type savedConfig struct {
	dir     string
	log     *slog.Logger
	current func() *config.Delta // what is in force

	changed         chan struct{}
	version         uint64 // of what the file holds; Run's alone after the start
	written, failed atomic.Uint64
}

func newSavedConfig(dir string, log *slog.Logger) *savedConfig {
	return &savedConfig{dir: dir, log: log, changed: make(chan struct{}, 1)}
}

func (s *savedConfig) path() string { return filepath.Join(s.dir, "config") }

// read returns what an earlier run has left, nil if that is nothing that can be
// used.
func (s *savedConfig) read() *config.Delta {
	restored, err := readPrivate(s.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		s.log.Warn("the configuration of an earlier run is not used", "error", err)
		return nil
	}
	s.version = restored.Version
	return restored
}

func readPrivate(path string) (*config.Delta, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // what is no file must not block
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || owner(info) != os.Geteuid():
		return nil, fmt.Errorf("%s is not a file that only this user may read and write; remove it", path)
	}
	c, err := config.Decode(f)
	if err == nil {
		err = c.Validate() // the data plane relies on it
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// note says that another configuration is in force. It does not wait.
func (s *savedConfig) note() {
	select {
	case s.changed <- struct{}{}:
	default: // it is noted already
	}
}

// run writes what is in force after each change, many changes at once where they
// are frequent, and at the end. It does so when no worker wants the processor.
func (s *savedConfig) run(ctx context.Context) {
	runtime.LockOSThread() // and never unlocked, so that the thread ends with this goroutine
	yieldThread()
	for ctx.Err() == nil {
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
		start := time.Now()
		s.save()
		sleep(ctx, max(savePause, savePauseFor*time.Since(start)))
	}
	s.save()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// save writes what is in force unless the file has it.
func (s *savedConfig) save() {
	c := s.current()
	if c.Version == s.version {
		return
	}
	if err := s.write(c); err != nil {
		if s.failed.Add(1) == 1 {
			s.log.Warn("the configuration cannot be kept for a restart", "error", err)
		}
		return
	}
	s.version = c.Version
	s.written.Add(1)
}

// write replaces the file as a whole.
func (s *savedConfig) write(c *config.Delta) error {
	if err := s.checkDirectory(); err != nil {
		return err
	}
	next := s.path() + ".new"
	_ = os.Remove(next) // that of a run which was killed
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(config.Encode(f, c), f.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, s.path())
}

// checkDirectory makes the directory where there is none. Others may write in
// it: that is how the kubelet makes the volumes of a Pod. But it must not be
// theirs, and of the files in it only our own are read.
func (s *savedConfig) checkDirectory() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	if by := owner(info); by != os.Geteuid() && by != 0 {
		return fmt.Errorf("the directory %s belongs to another user; give it to this one or say another --state-dir", s.dir)
	}
	return nil
}
