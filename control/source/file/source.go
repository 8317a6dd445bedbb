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
	// Diagnostics are all that stand now, not only the new ones. Updates share the
	// slice while it does not change.
	Diagnostics []diagnostic.Diagnostic
}

// Source reads files and follows their changes. Run has one goroutine; the other
// methods may be called from any.
type Source struct {
	library library
	ledger  ledger
	log     *slog.Logger
	reloads chan struct{}

	// general are the diagnostics that are about no file that is read, and told all
	// those of the last update.
	general, told []diagnostic.Diagnostic

	mu   sync.Mutex        // guards the ledger's records against Locate, and once
	once map[string][]byte // the texts of what can be read only once, by path

	rereading sync.Mutex // guards recent
	recent    weak.Pointer[reading]
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
		once:    map[string][]byte{},
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
	update, _, err := source.update(ctx, list(options.Paths), rescan{believe: true, now: time.Now()})
	if err != nil {
		return nil, err
	}
	return &Contents{Update: update, source: source}, nil
}

// update brings the source in step with a listing. It is true if there is anything
// new in the update.
func (s *Source) update(ctx context.Context, found *listing, scan rescan) (update Update, news bool, err error) {
	changed, err := s.library.refresh(ctx, found, scan)
	if err != nil {
		return Update{}, false, err
	}
	changes, retold := s.post(changed)
	general := found.problems
	if none, found := s.library.nothing(); found {
		general = append(slices.Clip(general), none)
	}
	if retold || !slices.Equal(general, s.general) {
		s.general = general
		retold = s.tell(slices.Concat(general, s.ledger.findings))
	}
	return Update{Changes: changes, Diagnostics: s.told}, retold || len(changes) > 0, nil
}

// post has the ledger, and what Locate needs beside it, take over what changed.
func (s *Source) post(changed []*content) (changes []snapshot.Change, retold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, file := range changed {
		delete(s.once, file.path)
		if file.text != nil {
			s.once[file.path] = file.text
		}
	}
	return s.ledger.post(changed)
}
