package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegateway/sluice/config"
)

func configuration(version uint64) *config.Delta {
	return &config.Delta{Version: version, Reset: true, Listeners: []*config.Listener{
		{Name: "default/gw/http", Port: 80, Protocol: config.ProtocolHTTP},
	}}
}

// saving is a savedConfig of the folder, and what its log says.
func saving(dir string, current *config.Delta) (*savedConfig, *bytes.Buffer) {
	var log bytes.Buffer
	s := newSavedConfig(dir, slog.New(slog.NewTextHandler(&log, nil)))
	s.current = func() *config.Delta { return current }
	return s, &log
}

func TestASavedConfigurationIsReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	s, log := saving(dir, configuration(7))
	if s.read() != nil || log.Len() > 0 {
		t.Errorf("there is one before the first was written; log %q", log)
	}
	s.save()
	again, _ := saving(dir, nil)
	if got := again.read(); got == nil || got.Version != 7 || got.String() != configuration(7).String() {
		t.Errorf("read %+v", got)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, s.path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("the folder has %v, %v", all, err)
	}
}

func TestASavedConfigurationThatIsNotOursIsAWarning(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"damaged":           func(path string) error { return os.Truncate(path, 40) },
		"open to others":    func(path string) error { return os.Chmod(path, 0o640) },
		"a pipe":            func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"no configuration":  func(path string) error { return os.WriteFile(path, []byte("hello"), 0o600) },
		"a folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"of nothing at all": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s, log := saving(t.TempDir(), configuration(7))
			if name == "damaged" || name == "open to others" {
				s.save()
			}
			if err := spoil(s.path()); err != nil {
				t.Fatal(err)
			}
			if got := s.read(); got != nil {
				t.Errorf("read %v", got)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), s.path()) {
				t.Errorf("the log says %q", log)
			}
		})
	}
}

func TestAFileThatCannotBeWrittenIsToldOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := saving(dir, configuration(7))
	s.save()
	s.save()
	if n := strings.Count(log.String(), "cannot be kept"); n != 1 || s.failed.Load() != 2 {
		t.Errorf("told %d times of %d failures: %s", n, s.failed.Load(), log)
	}
}

func TestManyChangesAreWrittenOnceASecondAndTheLastAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Uint64
		s := newSavedConfig(t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil)))
		s.current = func() *config.Delta { return configuration(version.Load()) }
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.run(ctx); close(ended) }()
		for range 5000 { // in five seconds
			version.Add(1)
			s.note()
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if n := s.written.Load(); n < 4 || n > 6 {
			t.Errorf("written %d times", n)
		}
		version.Add(1)
		end()
		<-ended
		if got := s.read(); got == nil || got.Version != version.Load() {
			t.Errorf("the file has %v, in force is version %d", got, version.Load())
		}
	})
}
