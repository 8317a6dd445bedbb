//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// supervisor has the programs of a node run, and starts again those that end.
// Their output is in logs/, their process ids are in pids/. A program for which
// there is a file in held/ is not started again until that file is gone.
type supervisor struct {
	plan   plan
	up     atomic.Bool // since then, a program may end and is started again
	failed chan error
}

// name is what a program's files are called: the first node's after the program alone.
func (s *supervisor) name(program string) string {
	if s.plan.Node == 1 {
		return program
	}
	return program + "-" + s.plan.nodeName()
}

// keep has a program run from now on.
func (s *supervisor) keep(program string, argv ...string) error {
	for _, folder := range []string{"logs", "pids", "held"} {
		if err := os.MkdirAll(filepath.Join(work, folder), 0o755); err != nil {
			return err
		}
	}
	name := s.name(program)
	path := filepath.Join(work, "logs", name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	go func() {
		defer log.Close()
		for {
			err := s.once(name, argv, log)
			if !s.up.Load() {
				s.failed <- fmt.Errorf("%s ended: %v; the end of %s:\n%s", name, err, path, tail(path))
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	return nil
}

// once runs the program until it ends.
func (s *supervisor) once(name string, argv []string, log *os.File) error {
	held := filepath.Join(work, "held", name)
	for {
		if _, err := os.Stat(held); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdout, command.Stderr = log, log
	command.Dir = s.plan.path()
	command.Env = append(os.Environ(), "TMPDIR="+s.plan.path())
	if err := command.Start(); err != nil {
		return err
	}
	pid := filepath.Join(work, "pids", name)
	if err := os.WriteFile(pid, []byte(strconv.Itoa(command.Process.Pid)), 0o644); err != nil {
		return err
	}
	err := command.Wait()
	_ = os.Remove(pid)
	return err
}

// tail is the end of a file.
func tail(path string) []byte {
	content, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(content, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-15):], nil)
}
