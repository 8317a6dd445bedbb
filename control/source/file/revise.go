package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// revise brings the listing up to date with what is now at some places, which are
// paths without links. It returns the paths of the files there, or of those that were
// there. It is false if that takes a new listing: a directory or a link changed, or
// something that would not be met where it is.
func (l *listing) revise(places map[string]bool) (paths []string, ok bool) {
	for real := range places {
		if l.dirs[real] || l.links[real] {
			return nil, false
		}
		path, known := l.paths[real]
		info, err := os.Lstat(real)
		switch {
		case err == nil && info.Mode().IsRegular():
			ok = l.revised(real, info)
		case errors.Is(err, fs.ErrNotExist):
			ok = !known || l.removed(real)
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
		if !known {
			path, known = l.paths[real]
		}
		if known {
			paths = append(paths, path)
		}
	}
	return paths, true
}

// revised enters a plain file, if it is one that is read.
func (l *listing) revised(real string, info fs.FileInfo) bool {
	if path, known := l.paths[real]; known {
		l.files[path].info = info
		return true
	}
	if len(l.problems) > 0 {
		return false // it may be what a link was missing
	}
	if l.reads(real) {
		dir := l.read[filepath.Dir(real)]
		l.root = dir.root
		l.file(filepath.Join(dir.path, filepath.Base(real)), real, info)
	}
	return true
}

// reads is true of places where a plain file is read, if there is one.
func (l *listing) reads(real string) bool {
	_, read := l.read[filepath.Dir(real)]
	name := filepath.Base(real)
	return read && !isHidden(name) && holdsObjects(name)
}

// concerns is false if what is now at a place, a path without links, can change
// nothing: a plain file that is not read, or nothing where nothing was.
func (l *listing) concerns(real string) bool {
	_, known := l.paths[real]
	if known || l.dirs[real] || l.links[real] || l.reads(real) || len(l.problems) > 0 {
		return true
	}
	info, err := os.Lstat(real)
	return err == nil && !info.Mode().IsRegular() || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// removed takes a file out, if nothing but its directory leads to it.
func (l *listing) removed(real string) bool {
	path := l.paths[real]
	dir, read := l.read[filepath.Dir(real)]
	if l.files[path].again || !read || path != filepath.Join(dir.path, filepath.Base(real)) {
		return false
	}
	delete(l.files, path)
	delete(l.paths, real)
	return true
}
