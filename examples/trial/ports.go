package trial

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// port finds the ports of examples in a file or a command: those of Gateways
// (8080…, 8443…), of demo backends (9001…) and of the admin listener.
var port = regexp.MustCompile(`\b(80[89][0-9]|844[3-9]|90[01][0-9]|9901)\b`)

// Address is the loopback address that stands for a port of the examples.
func (tr *Trial) Address(written int) string {
	return "127.0.0.1:" + tr.free(strconv.Itoa(written))
}

// free replaces the ports of the examples by free ones.
func (tr *Trial) free(text string) string {
	return port.ReplaceAllStringFunc(text, func(written string) string {
		if _, ok := tr.toFree[written]; !ok {
			free := strconv.Itoa(FreePort(tr.t))
			tr.toFree[written], tr.toWritten[free] = free, written
		}
		return tr.toFree[written]
	})
}

var number = regexp.MustCompile(`\b[0-9]{4,5}\b`)

// written is the opposite of free.
func (tr *Trial) written(text string) string {
	return number.ReplaceAllStringFunc(text, func(free string) string {
		if written, ok := tr.toWritten[free]; ok {
			return written
		}
		return free
	})
}

// Ports are handed out below those that the system gives to outgoing
// connections (32768 and up), so that none of them takes one that was free a
// moment ago. A process claims a block by listening on its first port.
const (
	firstBlock, lastBlock = 20000, 32000
	blockSize             = 200
)

var (
	block = sync.OnceValues(func() (net.Listener, error) {
		for first := firstBlock; ; first += blockSize {
			if l, err := listen(first); err == nil || first >= lastBlock {
				return l, err
			}
		}
	})
	handedOut atomic.Int64
)

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// FreePort is the next port of the process's block that nobody listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	claim, err := block()
	if err != nil {
		t.Fatal(err)
	}
	first := claim.Addr().(*net.TCPAddr).Port
	for range blockSize {
		port := first + 1 + int(handedOut.Add(1))%(blockSize-1)
		if l, err := listen(port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", first, first+blockSize)
	return 0
}
