package file

import (
	"encoding/gob"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
)

// WorkerCommand is the hidden subcommand of the program that runs ServeValidator.
const WorkerCommand = "validate-worker"

// lavish trades memory, which the process gives back soon, for time.
const lavish = 400

// answer is a verdict on its way back from a child process.
type answer struct {
	Index   int
	Verdict verdict
}

// question is a document on its way to a child process.
type question struct {
	Index    int
	Document document
}

// ServeValidator is the body of the child process that a Source with Isolated set
// validates in. It judges the documents that come in until there are no more.
func ServeValidator(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(lavish)
	checker := &checker{}
	questions := make(chan question)
	answers := make(chan answer)
	workers := runtime.GOMAXPROCS(0)
	ended := make(chan struct{})
	for range workers {
		go func() {
			for q := range questions {
				answers <- answer{q.Index, checker.check(q.Document)}
			}
			ended <- struct{}{}
		}()
	}
	written := make(chan error, 1)
	go func() { written <- writeAnswers(out, answers) }()
	err := readQuestions(in, questions)
	close(questions)
	for range workers {
		<-ended
	}
	close(answers)
	return errors.Join(err, <-written)
}

func readQuestions(in io.Reader, questions chan<- question) error {
	decoder := gob.NewDecoder(in)
	for {
		var q question
		switch err := decoder.Decode(&q); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		questions <- q
	}
}

// writeAnswers goes on taking answers after a failure, so that no one waits for it.
func writeAnswers(out io.Writer, answers <-chan answer) (err error) {
	encoder := gob.NewEncoder(out)
	for a := range answers {
		if err == nil {
			err = encoder.Encode(a)
		}
	}
	return err
}
