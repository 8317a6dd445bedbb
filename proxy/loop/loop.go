// Package loop is the ground that the data plane stands on: loops that run
// handlers, and the connections, timers and wake-ups that handlers wait for.
//
// A loop runs one handler at a time. A handler is written in plain blocking
// style; where it waits (Read, Write, Sleep, Dial, Waiter.Wait, Await) the loop
// runs others. So what belongs to one loop needs no lock, and nothing in a
// handler may block by other means: no channel, no lock held across a wait, no
// time.Sleep, no file, no runtime.Goexit, no LockOSThread.
//
// Two implementations stand beside this package: epoll (Linux; handlers are
// coroutines on the loop's goroutine) and portable (handlers are goroutines
// that hold their loop's semaphore while they run). The same tests hold both.
package loop

import (
	"errors"
	"net/netip"
	"time"
)

// Loop runs handlers, one at a time. Only Post and Stop may be called from
// outside; the other methods belong to handlers of this loop and to functions
// that it runs, and, before Run, to the goroutine that will call Run.
// Every loop that was made must be run, if only to end it after Stop.
type Loop interface {
	// Run serves until Stop and returns when every handler has ended.
	Run() error
	// Stop ends Run: connections and listeners are closed, and handlers that
	// wait, or try to, get ErrStopped. Only Await still waits for its function.
	// It may be called from anywhere, more than once.
	Stop()
	// Post runs fn on the loop, soon, outside any handler, in the order of the
	// calls: fn must not wait. It may be called from any goroutine. It reports
	// whether fn will run: not once the loop has ended.
	Post(fn func()) bool

	// Go starts a handler. It runs when the caller waits or returns. A panic
	// in a handler ends that handler only and is reported to OnPanic.
	Go(fn func())
	// Await runs fn, which may block, on a goroutine of its own and waits for
	// its end. Handlers only.
	Await(fn func())
	// Sleep waits for d. Handlers only. It returns ErrStopped if the loop ends.
	Sleep(d time.Duration) error
	// AtTurnEnd runs fn once, on the loop and outside any handler, when the
	// handlers that can go on now have run: a moment to send what they have
	// gathered. fn must not wait. What is asked for once the loop has ended does not run.
	AtTurnEnd(fn func())
	// Now is the time at which the loop's present turn began; good for
	// timeouts, not for measuring less than a millisecond.
	Now() time.Time
	// NewWaiter makes a Waiter of this loop.
	NewWaiter() Waiter
	// AfterFunc runs fn on the loop after d (to within about 10 ms), outside
	// any handler.
	AfterFunc(d time.Duration, fn func()) Timer

	// Listen accepts TCP connections on addr. accept runs on the loop outside
	// any handler; it owns the connection, unless it panics. Every loop may listen on the same
	// address: connections are spread over them. An address that another
	// program holds is an error.
	Listen(addr netip.AddrPort, accept func(Conn)) (Listener, error)
	// Dial connects to address ("tcp" with ip:port, "unix" with a path), to
	// the deadline at most. Handlers only.
	Dial(network, address string, deadline time.Time) (Conn, error)
}

// Listener is a listening socket of one loop.
type Listener interface {
	// Addr is the bound address (useful where port 0 was asked for).
	Addr() netip.AddrPort
	// Pause stops accepting until Resume; waiting connections stay queued.
	Pause()
	Resume()
	// Close stops listening. Connections that are queued are accepted first,
	// some perhaps shortly after Close has returned.
	Close() error
}

// Waiter lets a handler wait for another one. A Wake before the Wait is
// remembered, one; so a waiting handler checks its condition again after each Wait.
type Waiter interface {
	// Wait parks the handler until Wake, or until deadline (zero: none), when
	// it returns os.ErrDeadlineExceeded; ErrStopped if the loop ends.
	Wait(deadline time.Time) error
	// Wake is called on the waiter's loop.
	Wake()
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop prevents the function from running and reports whether it did.
	Stop() bool
	// Reset starts the timer anew.
	Reset(d time.Duration)
}

// Conn is a stream connection that belongs to one loop. At most one handler
// reads and one writes at a time.
type Conn interface {
	// Read waits for bytes. io.EOF is the peer's end of its stream;
	// os.ErrDeadlineExceeded an expired read deadline, bytes or not.
	Read(p []byte) (int, error)
	// TryRead is Read without waiting and without regard to the deadline:
	// ErrAgain where no byte is there. It may be called outside any handler.
	TryRead(p []byte) (int, error)
	// Write waits until the kernel has taken all of p, or for the write deadline.
	Write(p []byte) (int, error)
	// SetReadDeadline bounds the present and later Reads, and a Notify; the
	// zero time means no bound. One that has passed wakes a waiting reader.
	SetReadDeadline(t time.Time)
	// SetWriteDeadline bounds the present and later Writes likewise.
	SetWriteDeadline(t time.Time)

	// Notify calls fn once, on the loop and outside any handler, when a Read
	// would not wait (bytes, the peer's end, an error), or with
	// os.ErrDeadlineExceeded when the read deadline expires, or ErrStopped when
	// the loop ends. Otherwise err is nil: the next Read tells. Until then the
	// connection needs neither a handler nor a buffer. Close forgets it.
	Notify(fn func(err error))
	// StopNotify takes a Notify back: fn will not be called. It reports false
	// if there is none pending, because fn was called already.
	StopNotify() bool
	// OnAbort has fn called once, on the loop and outside any handler, when the
	// peer resets the connection or is gone for reading and writing. The
	// peer's half-close is no abort. nil takes it back.
	OnAbort(fn func())

	// Splice moves up to n bytes from src to this connection without copying
	// them through user memory, waiting as Read and Write do, within both
	// deadlines; each progress moves both deadlines on by idle, if that is not
	// zero. It returns io.EOF if src ended before n bytes, and ErrUnsupported,
	// having moved nothing, where this connection or src cannot.
	Splice(src Conn, n int64, idle time.Duration) (int64, error)

	// CloseWrite ends this side's stream (FIN) and leaves reading open.
	CloseWrite() error
	// Close closes; waiting handlers get net.ErrClosed.
	Close() error
	// Abort closes with a reset, so that the peer sees the failure.
	Abort() error

	// LocalAddr and RemoteAddr are zero for a unix socket.
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
	Loop() Loop
}

// Errors of loops and connections, beside io.EOF, net.ErrClosed,
// os.ErrDeadlineExceeded and those of the system.
var (
	ErrStopped     = errors.New("loop: stopped")
	ErrAgain       = errors.New("loop: no bytes yet")
	ErrUnsupported = errors.New("loop: not supported by this connection")
)
