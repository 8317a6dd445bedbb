package file

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// listing is what the paths lead to at one moment.
type listing struct {
	// files are in the order of the paths, those of a directory by name.
	files []listed
	// dirs are the directories whose changes can change the listing.
	dirs     []string
	problems []diagnostic.Diagnostic

	seen map[string]bool
}

type listed struct {
	path string
	info fs.FileInfo // nil for standard input
}

// list follows the paths. Directories are read to their ground, but for hidden
// entries: the "..data" of a mounted ConfigMap is one, and what its links point to is
// read through the links beside it. What several links lead to is read once.
func list(paths []string) *listing {
	l := &listing{seen: map[string]bool{}}
	for _, path := range paths {
		if path == Stdin {
			l.files = append(l.files, listed{path: Stdin})
			continue
		}
		l.watchPath(path)
		info, err := os.Stat(path)
		switch {
		case err != nil:
			l.fail(path, err)
		case info.IsDir():
			l.directory(path)
		default:
			l.file(path, info)
		}
	}
	slices.Sort(l.dirs)
	l.dirs = slices.Compact(l.dirs)
	return l
}

func (l *listing) fail(path string, err error) {
	l.problems = append(l.problems, diagnostic.Diagnostic{
		Severity: diagnostic.Error, File: path,
		Message: "cannot be read: " + reason(err),
		Fix:     "give paths of files and directories that exist and may be read",
	})
}

func (l *listing) directory(dir string) {
	if !l.first(dir) {
		return
	}
	l.dirs = append(l.dirs, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.fail(dir, err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			l.entry(filepath.Join(dir, entry.Name()), entry)
		}
	}
}

func (l *listing) entry(path string, entry fs.DirEntry) {
	isLink := entry.Type()&fs.ModeSymlink != 0
	if !entry.IsDir() && !isLink && !holdsObjects(path) {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && isLink && !holdsObjects(path):
		// a dangling link that would not have been read anyway
	case err != nil:
		l.fail(path, err)
	case info.IsDir():
		l.watchLinks(path, isLink)
		l.directory(path)
	case holdsObjects(path) && info.Mode().IsRegular():
		l.watchLinks(path, isLink)
		l.file(path, info)
	}
}

func (l *listing) file(path string, info fs.FileInfo) {
	if l.first(path) {
		l.files = append(l.files, listed{path, info})
	}
}

// first is true if nothing else led to the same file or directory before.
func (l *listing) first(path string) bool {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	known := l.seen[path]
	l.seen[path] = true
	return !known
}

// watchPath notes the directory that a path of the command line stands in, for the
// path itself may be replaced.
func (l *listing) watchPath(path string) {
	l.dirs = append(l.dirs, filepath.Dir(filepath.Clean(path)))
	l.watchLinks(path, true)
}

// maxLinks is how many symbolic links a path may lead through, as in Linux.
const maxLinks = 40

// watchLinks notes the directories of all symbolic links on the way to what a path
// means, for each of them may be swapped.
func (l *listing) watchLinks(path string, hasLinks bool) {
	if !hasLinks {
		return
	}
	rest, err := filepath.Abs(path)
	if err != nil {
		return
	}
	done := string(filepath.Separator)
	for links := 0; rest != "" && links < maxLinks; {
		var element string
		element, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		next := filepath.Join(done, element)
		target, err := os.Readlink(next)
		if err != nil {
			done = next
			continue
		}
		links++
		l.dirs = append(l.dirs, done)
		if !filepath.IsAbs(target) {
			target = filepath.Join(done, target)
		}
		done, rest = string(filepath.Separator), filepath.Join(target, rest)
	}
}

// holdsObjects is true of the names of files that are read in directories.
func holdsObjects(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func isJSON(path string) bool { return strings.EqualFold(filepath.Ext(path), ".json") }

// reason is an error of the file system without the operation and the path.
func reason(err error) string {
	if path, ok := err.(*fs.PathError); ok {
		return path.Err.Error()
	}
	return fmt.Sprint(err)
}
