//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// stateFolder holds a file for each cluster that runs, locked for as long as it
// does; a file that nobody has locked tells what a killed one left behind.
const stateFolder = "/run/sluice-test-cluster"

// state is what exec and the next start need to know of a cluster.
type state struct {
	Init    int     // the process id of the cluster's first process; 0 until it is up
	Nodes   int     // how many it has
	Cgroups cgroups // made before anything starts
	Temp    string  // a folder for images on their way
}

func stateFile(name string) string { return filepath.Join(stateFolder, name+".json") }

// claim takes the name for this process until the file is closed, and removes
// what earlier clusters left that were killed.
func claim(name string) (*os.File, error) {
	if err := os.MkdirAll(stateFolder, 0o700); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(stateFolder, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if err := sweep(file); err != nil {
			fmt.Fprintf(os.Stderr, "cluster: what %s tells of could not all be removed: %v\n", file, err)
		}
	}
	for {
		if err := os.MkdirAll(stateFolder, 0o700); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(stateFile(name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if locked(file) {
			file.Close()
			return nil, fmt.Errorf("a cluster %q runs already; stop it, or choose another --name", name)
		}
		// Another start may have swept the file away before it was locked.
		mine, err := file.Stat()
		there, gone := os.Stat(stateFile(name))
		if err == nil && gone == nil && os.SameFile(mine, there) {
			return file, nil
		}
		file.Close()
	}
}

// locked reports whether another process has the file locked; if none has, this one does.
func locked(file *os.File) bool {
	return unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// sweep removes what a cluster left, unless its file is locked: then it lives.
func sweep(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if locked(file) {
		return nil
	}
	var left state
	if err := json.NewDecoder(file).Decode(&left); err != nil {
		return os.Remove(path) // killed before it wrote, and so before it made anything
	}
	return left.remove(path)
}

// remove removes what the cluster made and, if all is gone, its file.
func (s state) remove(path string) error {
	err := s.Cgroups.remove()
	if strings.HasPrefix(filepath.Base(s.Temp), tempPrefix) {
		err = errors.Join(err, os.RemoveAll(s.Temp))
	}
	if err != nil {
		return err
	}
	err = os.Remove(path)
	_ = os.Remove(filepath.Dir(path)) // empty when it was the last
	return err
}

// write replaces the file's content.
func (s state) write(file *os.File) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	return err
}

// running reads the state of a cluster that is up.
func running(name string) (state, error) {
	var s state
	file, err := os.Open(stateFile(name))
	if err == nil {
		defer file.Close()
		err = json.NewDecoder(file).Decode(&s)
	}
	if err != nil || s.Init == 0 || unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return s, fmt.Errorf("no cluster %q is up (or not yet); go run ./test/cluster up brings one up", name)
	}
	return s, nil
}
