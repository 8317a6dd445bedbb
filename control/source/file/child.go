package file

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// child validates in a child process, which is started when it is needed and ends
// when it is released. If it crashes, the documents that it had not judged yet are
// judged one by one by another, and the one that crashes it is refused.
type child struct {
	process *process
}

// process is a running child.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	encoder *gob.Encoder
	decoder *gob.Decoder
	stderr  *lastWords
}

func (c *child) validate(ctx context.Context, documents []document, done func(int, verdict)) error {
	judged := make([]bool, len(documents))
	tell := func(i int, v verdict) {
		judged[i] = true
		done(i, v)
	}
	if err := c.ask(ctx, documents, every(len(documents)), tell); err == nil {
		return nil
	}
	for i := range documents {
		if judged[i] {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.ask(ctx, documents, []int{i}, tell); err != nil && ctx.Err() == nil {
			tell(i, crashed(err))
		}
	}
	return ctx.Err()
}

// silence is how long a child may take for an answer before it is taken to hang. It
// is long, for the child gets the processor only when nobody serves requests with it.
var silence = 2 * time.Minute

func every(count int) []int {
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all
}

func crashed(err error) verdict {
	return verdict{Obscure: true, passing: true, Findings: []diagnostic.Diagnostic{{
		Severity: diagnostic.Error, Line: 1, Column: 1,
		Message: "could not be validated: " + err.Error(),
		Fix:     "report it with the document; it is tried again with the next change",
	}}}
}

// ask has some of the documents judged. After an error the process is gone.
func (c *child) ask(ctx context.Context, documents []document, indices []int, done func(int, verdict)) (err error) {
	if c.process == nil {
		if c.process, err = startProcess(); err != nil {
			return err
		}
	}
	process := c.process
	stop := context.AfterFunc(ctx, func() { _ = process.command.Process.Kill() })
	defer stop()

	asked := make(chan error, 1)
	go func() { asked <- process.ask(documents, indices) }()
	hung, err := process.answers(len(indices), done)
	if err != nil {
		_ = process.command.Process.Kill()
	}
	if err = errors.Join(err, <-asked); err == nil {
		return nil
	}
	c.process = nil
	err = process.end()
	if hung {
		return fmt.Errorf("the process that validates gave no answer for %v", silence)
	}
	return fmt.Errorf("the process that validates ended: %w: %s", err, process.stderr)
}

// answers takes as many answers. It ends a process that hangs.
func (p *process) answers(count int, done func(int, verdict)) (hung bool, err error) {
	watchdog := time.AfterFunc(silence, func() { _ = p.command.Process.Kill() })
	for range count {
		var a answer
		if err := p.decoder.Decode(&a); err != nil {
			return !watchdog.Stop(), err
		}
		watchdog.Reset(silence)
		done(a.Index, a.Verdict)
	}
	watchdog.Stop()
	return false, nil
}

func (p *process) ask(documents []document, indices []int) error {
	for _, i := range indices {
		if err := p.encoder.Encode(question{i, documents[i]}); err != nil {
			return err
		}
	}
	return nil
}

func startProcess() (*process, error) {
	path, err := ownProgram()
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(path, WorkerCommand), stderr: &lastWords{}}
	p.command.Args[0] = os.Args[0]
	p.command.Stderr = p.stderr
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.encoder, p.decoder = gob.NewEncoder(p.in), gob.NewDecoder(out)
	return p, nil
}

// ownProgram is the path of the program that runs. Linux knows it even if its file
// was replaced since, as by an upgrade: parent and child speak the same language.
func ownProgram() (string, error) {
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil {
		return running, nil
	}
	return os.Executable()
}

// end lets the process end, and says how it did.
func (p *process) end() error {
	_ = p.in.Close()
	if err := p.command.Wait(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// release ends the process.
func (c *child) release() {
	if c.process != nil {
		_ = c.process.end()
		c.process = nil
	}
}

// lastWords keeps the first bytes of what a process says as it dies.
type lastWords struct {
	mu   sync.Mutex
	text strings.Builder
}

const maxWords = 2048

func (t *lastWords) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(p[:min(len(p), maxWords-t.text.Len())])
	return len(p), nil
}

func (t *lastWords) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text.String())
}
