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
		return execute(r.name, r.args, stop.Done())
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

// execute runs a command in the cluster's namespaces and cgroups, in the folder
// of the caller. When stop closes, the command is told to end.
func execute(name string, args []string, stop <-chan struct{}) error {
	s, err := running(name)
	if err != nil {
		return err
	}
	return enter(s, args, stop)
}

// enter is execute for a cluster whose state is known. The command has 10 s to
// end by itself.
func enter(s state, args []string, stop <-chan struct{}) error {
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
	defer signal.Stop(signals)

	var command *exec.Cmd
	err = s.Cgroups.during(leafOf(s.Cgroups.Version), func() error {
		// This thread alone joins: a mount namespace only when it shares its root
		// and folder with no other.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(first, unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("joining the cluster's namespaces: %w", err)
		}
		command = exec.Command("/proc/self/exe", append([]string{"inside-exec"}, args...)...)
		command.Dir, command.Stdin, command.Stdout, command.Stderr = folder, os.Stdin, os.Stdout, os.Stderr
		command.Env = append(os.Environ(), "PATH="+filepath.Join(work, "bin")+":"+os.Getenv("PATH"),
			"KUBECONFIG="+kubeconfig, "GOPROXY=off",
			"SLUICE_TEST_USABLE_ADDRESS="+usableAddress, "SLUICE_TEST_UNUSABLE_ADDRESS="+unusableAddress)
		return command.Start()
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case received := <-signals:
				if received != syscall.SIGINT {
					_ = command.Process.Signal(received)
				}
			case <-stop:
				stop = nil
				_ = command.Process.Signal(syscall.SIGTERM)
				time.AfterFunc(10*time.Second, func() { _ = command.Process.Kill() })
			}
		}
	}()
	return command.Wait()
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
	return enter(s, args, nil)
}
