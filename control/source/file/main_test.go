package file_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegateway/sluice/control/source/file"
)

// Texts that the test program dies of, or hangs at, when it validates them as a child.
const (
	deadly   = "die-of-this"
	stunning = "hang-at-this"
)

// TestMain lets the test program be its own child process for validation.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == file.WorkerCommand {
		if err := file.ServeValidator(mortal{os.Stdin}, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// mortal ends the process when it reads the deadly text in one piece, and never
// returns from reading the stunning one.
type mortal struct{ io.Reader }

func (m mortal) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if bytes.Contains(p[:n], []byte(deadly)) {
		fmt.Fprintln(os.Stderr, "dying as asked")
		os.Exit(3)
	}
	if bytes.Contains(p[:n], []byte(stunning)) {
		time.Sleep(time.Hour) // its parent ends it before
	}
	return n, err
}
