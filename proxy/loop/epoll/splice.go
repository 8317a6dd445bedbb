//go:build linux

package epoll

import (
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluicegateway/sluice/proxy/loop"
)

const (
	// pipeSize is what a pipe holds by default; the limit on the pipes' memory
	// of one user does not count it, and larger ones are no faster.
	pipeSize = 64 << 10
	// maxPipes is how many unused pipes a loop keeps.
	maxPipes = 16
)

// pipe carries bytes from socket to socket inside the kernel.
type pipe struct {
	r, w int
	held int // bytes in it
}

// Splice implements loop.Conn for connections of the same loop.
func (c *Conn) Splice(from loop.Conn, n int64, idle time.Duration) (moved int64, err error) {
	src, ok := from.(*Conn)
	if !ok || src.loop != c.loop {
		return 0, loop.ErrUnsupported
	}
	p, err := c.loop.takePipe()
	if err != nil {
		return 0, loop.ErrUnsupported // no descriptors left: copying needs none
	}
	defer c.loop.givePipe(p)
	for moved < n {
		if err := src.fill(p, n-moved); err != nil {
			return moved, err
		}
		for p.held > 0 {
			sent, err := c.drain(p)
			moved += int64(sent)
			if err != nil {
				return moved, err
			}
			c.loop.spend(sent)
			extend(src, c, idle)
		}
	}
	return moved, nil
}

// extend moves both connections' deadlines on, after progress.
func extend(src, dst *Conn, idle time.Duration) {
	if idle == 0 {
		return
	}
	by := dst.loop.after(idle)
	src.setReadBy(by)
	dst.setWriteBy(by)
}

// fill waits for bytes and takes them into the empty pipe. A short count says
// nothing about what is left: the pipe counts pieces as well as bytes.
func (c *Conn) fill(p *pipe, limit int64) error {
	for {
		switch {
		case c.closed != nil:
			return c.closed
		case c.readBy != never && c.readBy <= c.loop.wheel.now:
			return os.ErrDeadlineExceeded
		}
		if c.readable {
			n, err := c.take(p, int(min(limit, pipeSize)))
			switch {
			case err == unix.EAGAIN:
				c.readable = false
			case err != nil:
				return os.NewSyscallError("splice", err)
			case n == 0:
				return io.EOF
			default:
				p.held = n
				return nil
			}
		}
		if err := c.waitReadable(); err != nil {
			return err
		}
	}
}

// take moves bytes into the empty pipe without waiting. The kernel's splice
// finds nothing, or the end, at urgent data, which a read passes over.
func (c *Conn) take(p *pipe, limit int) (int, error) {
	c.readTurn = c.loop.turn
	n, err := splice(c.fd, p.w, limit)
	if n > 0 || !c.partial || err != nil && err != unix.EAGAIN {
		return n, err
	}
	var room [512]byte // the pipe takes as many in any case (pipe(7), PIPE_BUF)
	if n, err = recv(c.fd, room[:min(limit, len(room))], 0); err != nil || n == 0 {
		return n, err
	}
	return unix.Write(p.w, room[:n])
}

// drain waits for room and gives the connection what it takes from the pipe.
func (c *Conn) drain(p *pipe) (int, error) {
	for {
		if err := c.beforeWrite(); err != nil {
			return 0, err
		}
		if c.writable {
			n, err := splice(p.r, c.fd, p.held)
			switch {
			case err == nil:
				p.held -= n
				return n, nil
			case err != unix.EAGAIN:
				return 0, os.NewSyscallError("splice", err)
			}
			c.writable = false
		}
		if err := c.waitWritable(); err != nil {
			return 0, err
		}
	}
}

func splice(from, to, n int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if err != unix.EINTR {
			return int(min(n, math.MaxInt32)), err
		}
	}
}

func (l *Loop) takePipe() (*pipe, error) {
	if last := len(l.pipes) - 1; last >= 0 {
		p := l.pipes[last]
		l.pipes = l.pipes[:last]
		return p, nil
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	return &pipe{r: fds[0], w: fds[1]}, nil
}

// givePipe keeps the pipe for later, if nothing is left in it.
func (l *Loop) givePipe(p *pipe) {
	if p.held > 0 || len(l.pipes) == maxPipes {
		p.close()
		return
	}
	l.pipes = append(l.pipes, p)
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}
