package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
)

// Options say what to read, and how.
type Options struct {
	// Paths are files, directories, which are read with all below them, and "-" for
	// standard input.
	Paths []string
	// Stdin is read for "-"; it is os.Stdin if nil.
	Stdin io.Reader
	// Isolated validates in a child process of the same program, see ServeValidator,
	// so that the memory it takes is given back. Otherwise it is done in this one.
	Isolated bool
	// Logger is told of mistakes as they come and go; it may be nil.
	Logger *slog.Logger
}

// Update is what changed in the files.
type Update struct {
	Changes []snapshot.Change
	// Diagnostics are all that stand now, not only the new ones.
	Diagnostics []diagnostic.Diagnostic
}

// Source reads files and follows their changes. Run has one goroutine; the other
// methods may be called from any.
type Source struct {
	library library
	ledger  ledger
	log     *slog.Logger
	reloads chan struct{}

	told []diagnostic.Diagnostic // those of the last Update

	mu      sync.Mutex
	inForce map[snapshot.Key]*entry // the ledger's; the map is never changed
	once    map[string][]byte       // the texts of what can be read only once, by path
	recent  weak.Pointer[reading]
}

// New makes a Source that has read nothing yet. It fails if a path does not exist.
func New(options Options) (*Source, error) {
	if len(options.Paths) == 0 {
		return nil, errors.New("no paths: name files or directories of Kubernetes objects, or - for standard input")
	}
	for _, path := range options.Paths {
		if path == Stdin {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%s: %s: name files or directories that exist and may be read", path, reason(err))
		}
	}
	source := &Source{
		library: library{paths: options.Paths, stdin: options.Stdin, validator: &local{}},
		log:     options.Logger,
		reloads: make(chan struct{}, 1),
	}
	if source.library.stdin == nil {
		source.library.stdin = os.Stdin
	}
	if options.Isolated {
		source.library.validator = &child{}
	}
	if source.log == nil {
		source.log = slog.New(slog.DiscardHandler)
	}
	return source, nil
}

// Contents are the objects of files at one moment.
type Contents struct {
	Update
	source *Source
}

// Load reads files once. It fails if a path does not exist or ctx ends; what is wrong
// inside of files is in the Diagnostics.
func Load(ctx context.Context, options Options) (*Contents, error) {
	source, err := New(options)
	if err != nil {
		return nil, err
	}
	defer source.library.validator.release()
	update, _, err := source.update(ctx, list(options.Paths, nil), rescan{believe: true, now: time.Now()})
	if err != nil {
		return nil, err
	}
	return &Contents{Update: update, source: source}, nil
}

// update brings the source in step with a listing.
func (s *Source) update(ctx context.Context, found *listing, scan rescan) (update Update, doubtful bool, err error) {
	doubtful, err = s.library.refresh(ctx, found, scan)
	if err != nil {
		return Update{}, false, err
	}
	changes, findings := s.ledger.post(s.library.files)
	update = Update{Changes: changes, Diagnostics: slices.Concat(s.library.problems, findings)}
	if len(s.library.files) == 0 {
		update.Diagnostics = append(update.Diagnostics, diagnostic.Diagnostic{
			Severity: diagnostic.Warning,
			Message:  "there are no files with objects under the given paths",
			Fix:      "name files, or directories with .yaml, .yml or .json files",
		})
	}
	s.publish()
	return update, doubtful, nil
}

// publish gives Locate what it needs.
func (s *Source) publish() {
	once := map[string][]byte{}
	for _, file := range s.library.files {
		if file.text != nil {
			once[file.path] = file.text
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inForce, s.once = s.ledger.inForce, once
}
