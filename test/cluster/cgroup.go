//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchy is a mounted hierarchy of cgroups, and where this process is in it.
type hierarchy struct {
	mount   string // where it is mounted
	own     string // this process's cgroup, a folder below mount
	options string // the options that mount it again; none for cgroup v2
}

// hierarchies lists those that the cluster's containers live in: those of
// cgroup v1 where the machine has them, else the one of cgroup v2.
func hierarchies() (version string, found []hierarchy, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", nil, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", nil, err
	}
	return parseHierarchies(string(mounts), string(own))
}

// parseHierarchies reads /proc/self/mountinfo and /proc/self/cgroup, see proc(5) and cgroups(7).
func parseHierarchies(mountinfo, cgroup string) (version string, found []hierarchy, err error) {
	own := map[string]string{}
	for line := range strings.Lines(cgroup) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			own[parts[1]] = parts[2]
		}
	}
	var unified []hierarchy
	for lines := bufio.NewScanner(strings.NewReader(mountinfo)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, system := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(system) < 3 {
			continue
		}
		root, mount := fields[3], fields[4]
		place := func(path string) string {
			rel, err := filepath.Rel(root, path)
			if err != nil || strings.HasPrefix(rel, "..") {
				rel = "."
			}
			return filepath.Join(mount, rel)
		}
		switch system[0] {
		case "cgroup2":
			unified = append(unified, hierarchy{mount: mount, own: place(own[""])})
		case "cgroup":
			for controllers, path := range own {
				if controllers != "" && hasAll(strings.Split(system[2], ","), strings.Split(controllers, ",")) {
					options := controllers
					if strings.HasPrefix(controllers, "name=") {
						options = "none," + controllers
					}
					found = append(found, hierarchy{mount: mount, own: place(path), options: options})
				}
			}
		}
	}
	memory := slices.ContainsFunc(found, func(h hierarchy) bool { return h.options == "memory" })
	switch {
	case memory:
		return "1", found, nil
	case len(unified) > 0:
		return "2", unified[:1], nil
	}
	return "", nil, errors.New("no cgroup hierarchy with the memory controller is mounted below " + cgroupRoot)
}

func hasAll(set, wanted []string) bool {
	for _, w := range wanted {
		if !slices.Contains(set, w) {
			return false
		}
	}
	return true
}

// cgroups are one cgroup in each hierarchy.
type cgroups struct {
	Version string
	Folders []string
}

// newCgroups names the cgroups; it makes none. Those of v1 lie in the caller's
// own. One of v2 must not hold processes where its children have controllers,
// so there it lies below the root.
func newCgroups(name string) (cgroups, error) {
	version, found, err := hierarchies()
	c := cgroups{Version: version}
	for _, h := range found {
		parent := h.own
		if version == "2" {
			parent = h.mount
		}
		c.Folders = append(c.Folders, filepath.Join(parent, name))
	}
	return c, err
}

// create makes the cgroups. A cpuset starts with nothing, and is given all that
// its parent has.
func (c cgroups) create() error {
	for _, folder := range c.Folders {
		parent := filepath.Dir(folder)
		if c.Version == "2" {
			if err := delegate(parent); err != nil {
				return err
			}
		}
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			content, err := os.ReadFile(filepath.Join(parent, file))
			if c.Version != "1" || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err := errors.Join(err, os.WriteFile(filepath.Join(folder, file), content, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the children of a cgroup v2 have all the controllers that it has.
func delegate(folder string) error {
	available, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+"+controller), 0)
		if err != nil && slices.Contains([]string{"cpu", "cpuset", "memory", "pids"}, controller) {
			return fmt.Errorf("the cgroup %s cannot give its children the controller %s: %w (it must hold no process of its own, unless it is the machine's root)", folder, controller, err)
		}
	}
	return nil
}

// during has this process in the cgroups while do runs, so that what do starts
// is born there. It finds its way back even if do changes what it sees mounted.
func (c cgroups) during(leaf string, do func() error) error {
	_, homes, err := hierarchies()
	if err != nil {
		return err
	}
	pid := []byte(strconv.Itoa(os.Getpid()))
	for _, home := range homes {
		file, err := os.OpenFile(filepath.Join(home.own, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer func() {
			_, _ = file.Write(pid)
			file.Close()
		}()
	}
	for _, folder := range c.Folders {
		if err := os.WriteFile(filepath.Join(folder, leaf, "cgroup.procs"), pid, 0); err != nil {
			return fmt.Errorf("joining the cluster's cgroups: %w", err)
		}
	}
	return do()
}

// remove kills what is left in the cgroups and removes them with all below.
func (c cgroups) remove() error {
	var errs []error
	for _, folder := range c.Folders {
		var err error
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if err = removeTree(folder); err == nil || time.Now().After(deadline) {
				break
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func removeTree(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, removeTree(filepath.Join(folder, entry.Name())))
		}
	}
	processes, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	for _, process := range strings.Fields(string(processes)) {
		if pid, _ := strconv.Atoi(process); pid > 0 && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if removed := unix.Rmdir(folder); removed != nil && removed != unix.ENOENT {
		err = errors.Join(err, &fs.PathError{Op: "rmdir", Path: folder, Err: removed})
	}
	return err
}

// mountCgroups mounts the hierarchies anew, as the cgroup namespace shows them:
// the cluster's own cgroups are the roots.
func mountCgroups(version string, found []hierarchy) error {
	if version == "2" {
		if err := unix.Mount("cgroup2", cgroupRoot, "cgroup2", 0, ""); err != nil {
			return fmt.Errorf("mounting cgroup2: %w", err)
		}
		return settle(cgroupRoot)
	}
	if err := unix.Mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", cgroupRoot, err)
	}
	for _, h := range found {
		at := filepath.Join(cgroupRoot, filepath.Base(h.mount))
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", at, "cgroup", 0, h.options); err != nil {
			return fmt.Errorf("mounting the cgroup hierarchy %s: %w", h.options, err)
		}
	}
	return nil
}

// leafOf is where processes that join a cgroup of the version go.
func leafOf(version string) string {
	if version == "2" {
		return "init"
	}
	return ""
}

// settle moves this process into a leaf, so that a cgroup v2's controllers can
// be given to its children.
func settle(root string) error {
	leaf := filepath.Join(root, leafOf("2"))
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return err
	}
	return delegate(root)
}
