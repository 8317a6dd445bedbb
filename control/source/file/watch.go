package file

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

const (
	// quiet is how long events that follow a first one may stay out before they are
	// acted on together.
	quiet = 5 * time.Millisecond
	// patience is how long events that never stay out are waited for.
	patience = 50 * time.Millisecond
	// idle is how long after the last change validation gives back what it needs.
	idle = 3 * time.Second
)

// Run calls apply with all that is in the files, then with each change, one call
// after the other, until ctx ends. It returns an error only if it cannot watch.
//
// The first event after a pause is acted on at once, those that follow it within a
// few milliseconds together. A file that is found to be gone or empty keeps its
// objects for some milliseconds more, because that is how its replacement may begin.
func (s *Source) Run(ctx context.Context, apply func(Update)) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch files: %w: raise fs.inotify.max_user_instances", err)
	}
	defer notify.Close()
	defer s.library.validator.release()
	w := &watch{source: s, notify: notify, watched: map[string]bool{}, apply: apply}
	if err := w.refresh(ctx, rescan{believe: true}); err != nil {
		return nil
	}
	return w.follow(ctx)
}

// Reload reads all files again, whether they seem to have changed or not.
func (s *Source) Reload() {
	select {
	case s.reloads <- struct{}{}:
	default: // one is on its way already
	}
}

// watch is one Run.
type watch struct {
	source  *Source
	notify  *fsnotify.Watcher
	watched map[string]bool
	// blind is true if a directory cannot be watched.
	blind bool
	apply func(Update)
	begun bool // something was told
	last  *listing

	pending rescan // what the events ask for
	events  int    // how many there were since the last refresh
	since   time.Time
}

// follow acts on events until ctx ends.
func (w *watch) follow(ctx context.Context) error {
	settle, release := time.NewTimer(0), time.NewTimer(idle)
	open := false // while further events are expected
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.source.reloads:
			w.pending.all, w.pending.believe = true, true
		case event := <-w.notify.Events:
			if w.isNoise(event) {
				continue
			}
			w.note(event)
			if open && time.Since(w.since) < patience {
				settle.Reset(quiet)
				continue
			}
		case err := <-w.notify.Errors:
			w.noteError(err)
		case <-release.C:
			w.source.library.validator.release()
			continue
		case <-settle.C:
			if w.events == 0 && !w.source.library.doubtful() {
				open = false
				continue
			}
		}
		if err := w.refresh(ctx, w.pending); err != nil {
			return nil
		}
		open = true
		settle.Reset(w.pause())
		release.Reset(idle)
	}
}

// pause is how long to wait for what may follow.
func (w *watch) pause() time.Duration {
	if w.source.library.doubtful() {
		return grace
	}
	return quiet
}

// isNoise is true of events about files that are not read: a log that lies beside the
// objects and grows with every request, or what is about to be renamed.
func (w *watch) isNoise(event fsnotify.Event) bool {
	if event.Op == fsnotify.Write {
		_, known := w.last.paths[event.Name]
		return !known
	}
	return !w.last.concerns(event.Name)
}

// note takes an event in. Its file is read even if its times say nothing new.
func (w *watch) note(event fsnotify.Event) {
	if w.events == 0 {
		w.since = time.Now()
	}
	w.events++
	if w.pending.named == nil {
		w.pending.named = map[string]bool{}
	}
	w.pending.named[event.Name] = true
	if w.watched[event.Name] && (event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)) {
		// What is there next under this name is another directory.
		_ = w.notify.Remove(event.Name)
		delete(w.watched, event.Name)
	}
}

func (w *watch) noteError(err error) {
	w.source.log.Warn("watching files", "error", err)
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		w.pending.all = true
	}
}

// refresh brings the source in step with the files, and the watches with the
// directories that they are in.
func (w *watch) refresh(ctx context.Context, scan rescan) error {
	w.pending, w.events = rescan{}, 0
	scan.only, scan.partial = w.revise(scan)
	if !scan.partial {
		w.list()
	}
	scan.now = time.Now()
	update, news, err := w.source.update(ctx, w.last, scan)
	if err != nil {
		return err
	}
	if news || !w.begun {
		w.begun = true
		w.apply(update)
	}
	return nil
}

// revise brings the last listing up to date, if events tell what changed. It returns
// the paths of the files that they are about.
func (w *watch) revise(scan rescan) (paths []string, ok bool) {
	if w.last == nil || scan.all || w.blind {
		return nil, false
	}
	return w.last.revise(scan.named)
}

// maxListings is how often directories are listed anew because others appeared.
const maxListings = 10

// list lists the files, once all directories they are in are watched: nothing that
// happens after a directory was listed goes unnoticed.
func (w *watch) list() {
	for range maxListings {
		w.last = list(w.source.library.paths)
		if more := w.addWatches(); !more {
			return
		}
	}
	w.source.Reload()
}

// addWatches watches the directories of the last listing and no others. It is true if
// one is new.
func (w *watch) addWatches() (more bool) {
	w.blind = false
	for dir := range w.last.dirs {
		if w.watched[dir] {
			continue
		}
		if err := w.notify.Add(dir); err != nil {
			w.blind = true
			w.last.problems = append(w.last.problems, diagnostic.Diagnostic{
				Severity: diagnostic.Warning, File: dir, Line: 1, Column: 1,
				Message: "changes in this directory go unnoticed: " + err.Error(),
				Fix:     "raise fs.inotify.max_user_watches; until then send SIGHUP after changes",
			})
			continue
		}
		w.watched[dir] = true
		more = true
	}
	for dir := range w.watched {
		if !w.last.dirs[dir] {
			_ = w.notify.Remove(dir) // it may be gone, and the watch with it
			delete(w.watched, dir)
		}
	}
	return more
}
