package file

import (
	"cmp"
	"errors"
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
	// files are by path, and paths by what they are without links.
	files map[string]*listed
	paths map[string]string
	// read are the directories that were read, by their paths without links.
	read map[string]position
	// dirs are the directories whose changes can change the listing, and links the
	// symbolic links on the way to it, without links themselves.
	dirs, links map[string]bool
	problems    []diagnostic.Diagnostic
	// hidden are the paths that are there, but cannot be read.
	hidden []string

	root int // the index of the path that is being followed
}

// listed is a file in a listing.
type listed struct {
	position
	// real is the absolute path without links.
	real string
	info fs.FileInfo // nil for standard input
	// again is true if the paths lead to it in another way too.
	again bool
}

// position is a place in the order of a listing: that of the paths that were given,
// below each of them by name.
type position struct {
	root int // the index of the path that was given
	path string
}

func (p position) compare(q position) int {
	if order := cmp.Compare(p.root, q.root); order != 0 {
		return order
	}
	const separator = string(filepath.Separator)
	return slices.Compare(strings.Split(p.path, separator), strings.Split(q.path, separator))
}

// list follows the paths. Directories are read to their ground, but for hidden
// entries: the "..data" of a mounted ConfigMap is one, and what its links point to is
// read through the links beside it. What several links lead to is read once.
func list(paths []string) *listing {
	l := &listing{
		files: map[string]*listed{}, paths: map[string]string{}, read: map[string]position{},
		dirs: map[string]bool{}, links: map[string]bool{},
	}
	for i, path := range paths {
		l.root = i
		if path == Stdin {
			l.file(Stdin, Stdin, nil)
			continue
		}
		l.named(path)
	}
	return l
}

// named follows a path of the command line. The directory that it stands in is
// watched too, for the path itself may be replaced.
func (l *listing) named(path string) {
	if parent, err := resolve(filepath.Dir(filepath.Clean(path))); err == nil {
		l.dirs[parent] = true
	}
	l.watchLinks(path)
	info, err := os.Stat(path)
	if err != nil {
		l.fail(path, err)
		return
	}
	l.resolved(path, info)
}

func (l *listing) fail(path string, err error) {
	fix := "give paths of files and directories that exist"
	if !errors.Is(err, fs.ErrNotExist) {
		fix = keptUntilRead
		l.hidden = append(l.hidden, path)
	}
	l.problems = append(l.problems, unreadable(path, err, fix))
}

const keptUntilRead = "until it can, the last accepted versions of its objects stay in force"

func unreadable(path string, err error, fix string) diagnostic.Diagnostic {
	return diagnostic.Diagnostic{
		Severity: diagnostic.Error, File: path, Line: 1, Column: 1, Message: "cannot be read: " + reason(err), Fix: fix,
	}
}

// hides is true of a file that may be there, at a path that cannot be read.
func (l *listing) hides(file string) bool {
	return slices.ContainsFunc(l.hidden, func(path string) bool {
		return file == path || strings.HasPrefix(file, filepath.Clean(path)+string(filepath.Separator))
	})
}

// resolve returns the absolute path without links.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// resolved goes on behind the links of a path.
func (l *listing) resolved(path string, info fs.FileInfo) {
	real, err := resolve(path)
	switch {
	case !info.IsDir() && !info.Mode().IsRegular():
		l.file(path, path, info) // the links to a pipe of the shell lead nowhere
	case err != nil:
		l.fail(path, err)
	case info.IsDir():
		l.directory(path, real)
	default:
		l.file(path, real, info)
	}
}

func (l *listing) directory(dir, real string) {
	if _, seen := l.read[real]; seen {
		return
	}
	l.read[real] = position{l.root, dir}
	l.dirs[real] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.fail(dir, err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !isHidden(name) {
			l.entry(filepath.Join(dir, name), filepath.Join(real, name), entry)
		}
	}
}

func (l *listing) entry(path, real string, entry fs.DirEntry) {
	switch {
	case entry.IsDir():
		l.directory(path, real)
	case entry.Type()&fs.ModeSymlink != 0:
		l.link(path)
	case entry.Type().IsRegular() && holdsObjects(path):
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return // it went away meanwhile
		}
		if err != nil {
			l.fail(path, err)
			return
		}
		l.file(path, real, info)
	}
}

// link follows a symbolic link in a directory, unless it is to no file that is read.
func (l *listing) link(path string) {
	info, err := os.Stat(path)
	switch {
	case err != nil && holdsObjects(path):
		l.watchLinks(path)
		l.fail(path, err)
	case err == nil && (info.IsDir() || info.Mode().IsRegular() && holdsObjects(path)):
		l.watchLinks(path)
		l.resolved(path, info)
	}
}

func (l *listing) file(path, real string, info fs.FileInfo) {
	if seen, ok := l.paths[real]; ok {
		l.files[seen].again = true
		return
	}
	l.paths[real] = path
	l.files[path] = &listed{position: position{l.root, path}, real: real, info: info}
}

// maxLinks is how many symbolic links a path may lead through, as in Linux.
const maxLinks = 40

// watchLinks notes all symbolic links on the way to what a path means, and their
// directories, for each of them may be swapped.
func (l *listing) watchLinks(path string) {
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
		l.links[next], l.dirs[done] = true, true
		if !filepath.IsAbs(target) {
			target = filepath.Join(done, target)
		}
		done, rest = string(filepath.Separator), filepath.Join(target, rest)
	}
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

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
