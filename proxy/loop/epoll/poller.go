//go:build linux

package epoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxEvents is how many events a turn takes at most.
const maxEvents = 256

// source is what a descriptor belongs to. ready is called outside any handler.
type source interface{ ready(events uint32) }

// poller is an epoll instance that waits inside the Go runtime's poller: its
// descriptor, which is readable while there are events, is registered there.
type poller struct {
	fd      int
	file    *os.File
	raw     syscall.RawConn
	harvest func(fd uintptr) bool // a field, because a closure allocates
	room    [maxEvents]unix.EpollEvent
	events  []unix.EpollEvent // of this turn
	err     error             // of the last harvest
	until   time.Time         // file's read deadline; zero: none
	sources []registration    // by descriptor
}

// registration ties a descriptor to its source. The generation, which events
// carry, tells those of a closed descriptor from those of its successor.
type registration struct {
	source     source
	generation int32
}

func (p *poller) open() (err error) {
	p.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(p.fd, true); err != nil { // else os.NewFile keeps it from the runtime's poller
		unix.Close(p.fd)
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	p.raw, err = p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return err
	}
	p.harvest = func(uintptr) bool {
		p.err = p.poll()
		return p.err != nil || len(p.events) > 0
	}
	return nil
}

func (p *poller) close() { p.file.Close() }

// poll takes the events that there are.
func (p *poller) poll() error {
	n, err := epollWait(p.fd, p.room[:])
	p.events = p.room[:n]
	return os.NewSyscallError("epoll_pwait", err)
}

// park waits for events, to the time until at most, if it is not zero.
func (p *poller) park(until time.Time) error {
	if err := p.setDeadline(until); err != nil {
		return err
	}
	p.events = nil // if until has passed, Read does not harvest
	err := p.raw.Read(p.harvest)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.until = time.Unix(1, 0) // it must be set anew, or Read never looks again
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for epoll: %w", err)
	}
	return p.err
}

func (p *poller) setDeadline(t time.Time) error {
	if t.Equal(p.until) {
		return nil
	}
	p.until = t
	return p.file.SetReadDeadline(t)
}

// dispatch hands the events of the turn to their sources.
func (p *poller) dispatch() {
	for i := range p.events {
		ev := &p.events[i]
		if r := &p.sources[ev.Fd]; r.source != nil && r.generation == ev.Pad {
			r.source.ready(ev.Events)
		}
	}
}

// add registers fd for events of s.
func (p *poller) add(fd int, s source, events uint32) error {
	for len(p.sources) <= fd {
		p.sources = append(p.sources, registration{})
	}
	r := &p.sources[fd]
	r.generation++
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: r.generation}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	r.source = s
	return nil
}

// change has fd report other events from now on.
func (p *poller) change(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: p.sources[fd].generation}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &ev))
}

// forget drops fd, which its owner is about to close; that ends its events.
func (p *poller) forget(fd int) { p.sources[fd].source = nil }

func (p *poller) each(visit func(source)) {
	for _, r := range p.sources {
		if r.source != nil {
			visit(r.source)
		}
	}
}
