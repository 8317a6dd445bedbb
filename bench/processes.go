package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processes are the programs that the benchmark has started.
type processes struct {
	dir string
	all []*process
}

// process is a running program with its children, in a process group of its own.
type process struct {
	cmd *exec.Cmd
	log *os.File
}

// start runs a program with its output in a log file. It ends with stop, and
// with the benchmark itself.
func (ps *processes) start(name string, env []string, argv ...string) (*process, error) {
	log, err := os.Create(filepath.Join(ps.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		log.Close()
		return nil, err
	}
	p := &process{cmd: cmd, log: log}
	ps.all = append(ps.all, p)
	return p, nil
}

// stop ends every program.
func (ps *processes) stop() {
	for _, p := range ps.all {
		p.stop()
	}
	ps.all = nil
}

// stop ends the program and its children and waits for it. Calling it again
// does nothing.
func (p *process) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	kill := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	_ = p.cmd.Wait()
	kill.Stop()
	_ = syscall.Kill(group, syscall.SIGKILL)
	p.log.Close()
}

// pids are the program's process and all its descendants.
func (p *process) pids() ([]int, error) {
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		if err != nil {
			return nil, err
		}
		for _, task := range tasks {
			children, err := os.ReadFile(task)
			if err != nil {
				continue // The thread has ended since.
			}
			for _, field := range strings.Fields(string(children)) {
				pid, err := strconv.Atoi(field)
				if err != nil {
					return nil, err
				}
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every
// architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the processor time, user and system, that each process of the program
// has used so far.
func (p *process) cpu() (map[int]time.Duration, error) {
	used := map[int]time.Duration{}
	err := p.each("stat", func(pid int, stat []byte) error {
		// The command name, in parentheses, may hold spaces; utime and stime
		// are the 12th and 13th fields after it (proc(5)).
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return err
			}
			used[pid] += time.Duration(ticks) * clockTick
		}
		return nil
	})
	return used, err
}

// rssAnon is the resident anonymous memory of the program and its children, in KiB.
func (p *process) rssAnon() (int, error) {
	total := 0
	err := p.each("status", func(pid int, status []byte) error {
		_, rest, _ := strings.Cut(string(status), "RssAnon:")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return fmt.Errorf("/proc/%d/status has no RssAnon", pid)
		}
		kib, err := strconv.Atoi(fields[0])
		total += kib
		return err
	})
	return total, err
}

// each hands a file of /proc of each process of the program to read. Children
// that have just ended are left out.
func (p *process) each(file string, read func(pid int, content []byte) error) error {
	pids, err := p.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil {
			err = read(pid, content)
		} else if pid != p.cmd.Process.Pid {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waitReady waits until url answers 200; the error has the program's log.
func (p *process) waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	for {
		if response, err := client.Get(url); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			output, _ := os.ReadFile(p.log.Name())
			return fmt.Errorf("%s did not answer 200 on %s; it said:\n%s", p.cmd.Args[0], url, output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// waitListening waits until something listens on the port of loopback.
func (p *process) waitListening(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			output, _ := os.ReadFile(p.log.Name())
			return fmt.Errorf("%s does not listen on port %d; it said:\n%s", p.cmd.Args[0], port, output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePort is a loopback port that nothing listens on at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
