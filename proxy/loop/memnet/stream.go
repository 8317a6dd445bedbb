package memnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// window is how many bytes a stream holds before its writer waits.
const window = 64 << 10

// stream carries the bytes of one direction, from its writer to its reader.
type stream struct {
	mu            sync.Mutex
	changed       *sync.Cond
	buffer        bytes.Buffer
	finished      bool // the writer has sent its FIN
	writerClosed  bool
	readerClosed  bool
	failed        bool // reset
	readDeadline  deadline
	writeDeadline deadline
}

func newStream() *stream {
	s := new(stream)
	s.changed = sync.NewCond(&s.mu)
	s.readDeadline.changed = s.changed
	s.writeDeadline.changed = s.changed
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerClosed:
			return 0, net.ErrClosed
		case s.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		case s.failed:
			return 0, syscall.ECONNRESET
		case s.buffer.Len() > 0:
			s.changed.Broadcast()
			return s.buffer.Read(p)
		case s.finished:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.writeError(); err != nil {
			return n, err
		}
		room := min(window-s.buffer.Len(), len(p)-n)
		if room > 0 {
			s.buffer.Write(p[n : n+room])
			n += room
			s.changed.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		s.changed.Wait()
	}
}

func (s *stream) writeError() error {
	switch {
	case s.writerClosed:
		return net.ErrClosed
	case s.finished:
		return syscall.EPIPE
	case s.writeDeadline.passed():
		return os.ErrDeadlineExceeded
	case s.failed, s.readerClosed:
		return syscall.ECONNRESET
	}
	return nil
}

func (s *stream) finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writerClosed {
		return net.ErrClosed
	}
	s.finished = true
	s.changed.Broadcast()
	return nil
}

func (s *stream) unread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Len() > 0
}

// fail resets the stream: what is in it is lost.
func (s *stream) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
	s.buffer.Reset()
	s.changed.Broadcast()
}

// closeReader reports false if it was closed before.
func (s *stream) closeReader() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.readerClosed
	s.readerClosed = true
	s.readDeadline.set(time.Time{})
	return first
}

func (s *stream) closeWriter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writerClosed, s.finished = true, true
	s.writeDeadline.set(time.Time{})
}

func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.readerClosed {
		s.readDeadline.set(t)
	}
}

func (s *stream) setWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writerClosed {
		s.writeDeadline.set(t)
	}
}

// deadline wakes those who wait on changed when its time has come. Its methods
// are called with changed's lock held.
type deadline struct {
	changed *sync.Cond
	at      time.Time
	timer   *time.Timer
}

func (d *deadline) set(t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), d.wake)
	}
	d.changed.Broadcast()
}

func (d *deadline) wake() {
	d.changed.L.Lock()
	defer d.changed.L.Unlock()
	d.changed.Broadcast()
}

func (d *deadline) passed() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}
