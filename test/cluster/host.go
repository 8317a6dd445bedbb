//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const tempPrefix = "sluice-test-cluster-"

// ready is the line by which the first node tells that the cluster is up.
const ready = "ready"

// diesWithParent has this process told to stop when the one that started it ends.
func diesWithParent() {
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0)
}

// up brings a cluster up, has it until it is stopped or the command of run has
// ended, and takes it down.
func up(r request) (err error) {
	started := time.Now()
	if err := machine(); err != nil {
		return err
	}
	file, err := claim(r.name)
	if err != nil {
		return err
	}
	defer file.Close()
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()

	var s state
	defer func() { err = errors.Join(err, s.remove(file.Name())) }()
	if s, err = prepare(r, file); err != nil {
		return err
	}
	p, err := newPlan(stop, r, s)
	if err != nil {
		return err
	}
	built := time.Now()
	first, lines, err := begin(s.Cgroups, p, nil)
	if err != nil {
		return err
	}
	// Killing the first process ends all in its namespaces; Wait returns when they have ended.
	defer func() { _ = first.Process.Kill(); _ = first.Wait() }()

	if err := untilReady(stop, lines); err != nil {
		return err
	}
	s.Init = first.Process.Pid
	if err := s.write(file); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "cluster: up in %.1f s, and %.1f s before for programs and images\n", time.Since(built).Seconds(), built.Sub(started).Seconds())
	if r.verb == "run" {
		return runCommand(stop, r)
	}
	fmt.Fprintf(os.Stderr, howTo, r.name)
	select {
	case <-stop.Done():
		return nil
	case line, open := <-lines:
		return fmt.Errorf("the cluster ended by itself: %s", lastWords(line, open))
	}
}

const howTo = `
  go run ./test/cluster exec --name %[1]s -- kubectl get pods -A    or any other command, such as a test binary
  go run ./test/cluster load --name %[1]s IMAGE.tar                 for images of your own

Ctrl-C stops it.
`

// prepare writes down what will be made, and makes it.
func prepare(r request, file *os.File) (state, error) {
	groups, err := newCgroups(tempPrefix + r.name)
	if err != nil {
		return state{}, err
	}
	s := state{Nodes: r.nodes, Cgroups: groups}
	if s.Temp, err = os.MkdirTemp("", tempPrefix+r.name+"-"); err != nil {
		return s, err
	}
	if err := s.write(file); err != nil {
		return s, err
	}
	return s, groups.create()
}

// begin starts the first process of a node: in namespaces and cgroups of its
// own, and killed with this one. The link, if any, is made before the process
// goes on. The lines that it prints on its fourth file come out of the channel,
// which closes when it has ended.
func begin(groups cgroups, p plan, link func(pid int) error) (*exec.Cmd, <-chan string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer write.Close()
	first := exec.Command("/proc/self/exe", "inside-init")
	first.Stdout, first.Stderr, first.ExtraFiles = os.Stderr, os.Stderr, []*os.File{write}
	first.SysProcAttr = &syscall.SysProcAttr{
		Setsid:    true,
		Pdeathsig: syscall.SIGKILL,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
	}
	stdin, err := first.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	defer stdin.Close()
	if err := groups.during("", first.Start); err != nil {
		return nil, nil, fmt.Errorf("starting a node: %w", err)
	}
	if link != nil {
		err = link(first.Process.Pid)
	}
	if err == nil {
		err = json.NewEncoder(stdin).Encode(p)
	}
	if err != nil {
		_ = first.Process.Kill()
		_ = first.Wait()
		return nil, nil, err
	}
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			lines <- scanner.Text()
		}
		read.Close()
	}()
	return first, lines, nil
}

func untilReady(stop context.Context, lines <-chan string) error {
	select {
	case <-stop.Done():
		return errors.New("stopped before the cluster was up")
	case line, open := <-lines:
		if line == ready {
			return nil
		}
		return fmt.Errorf("the cluster did not come up: %s", lastWords(line, open))
	}
}

// lastWords is why a cluster has ended, from what came out of its channel.
func lastWords(line string, open bool) string {
	if !open {
		return "its processes have ended"
	}
	return strings.ReplaceAll(line, reportNewline, "\n")
}

// runCommand has exec run the command, as a process of its own: who has joined
// the cluster's mounts cannot remove its traces from the machine's. When stop is
// done, the command is told to end, and has 10 s for it.
func runCommand(stop context.Context, r request) error {
	command := exec.CommandContext(stop, "/proc/self/exe", append([]string{"exec", "--name", r.name, "--"}, r.args...)...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	return command.Run()
}

// execute runs a command in the cluster's namespaces and cgroups, in the folder
// of the caller.
func execute(name string, args []string) error {
	s, err := running(name)
	if err != nil {
		return err
	}
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	first, err := unix.PidfdOpen(s.Init, 0)
	if err != nil {
		return fmt.Errorf("the cluster's first process: %w", err)
	}
	defer unix.Close(first)
	// Ctrl-C reaches the command as it does this program, and the command decides.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	command := exec.Command("/proc/self/exe", append([]string{"inside-exec"}, args...)...)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = folder, os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), "PATH="+filepath.Join(work, "bin")+":"+os.Getenv("PATH"),
		"KUBECONFIG="+kubeconfig, "GOPROXY=off",
		"SLUICE_TEST_USABLE_ADDRESS="+usableAddress, "SLUICE_TEST_UNUSABLE_ADDRESS="+unusableAddress)
	err = s.Cgroups.during(leafOf(s.Cgroups.Version), func() error {
		if err := join(first); err != nil {
			return fmt.Errorf("joining the cluster's namespaces: %w", err)
		}
		return command.Start()
	})
	if err != nil {
		return err
	}
	go func() {
		for received := range signals {
			if received != syscall.SIGINT {
				_ = command.Process.Signal(received)
			}
		}
	}()
	return command.Wait()
}

// join takes this thread, and it alone, into the namespaces of a process. A
// thread may change its mounts only when it shares its root with no other.
func join(pidfd int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Setns(pidfd, unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP)
}

// become turns this process, which is in the cluster already, into the command.
// It is killed when the thread that started it ends.
func become(args []string) error {
	// Package os/exec would have done so, but does not know a parent in another
	// namespace of processes, and takes it for dead.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, os.Environ())
}

// load gives images to every node of a cluster that runs.
func load(name string, tars []string) error {
	s, err := running(name)
	if err != nil {
		return err
	}
	args := []string{"/proc/self/exe", "inside-load", fmt.Sprint(s.Nodes)}
	for _, tar := range tars {
		path, err := filepath.Abs(tar)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); err != nil {
			return err
		}
		args = append(args, path)
	}
	return execute(name, args)
}
