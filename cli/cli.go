// Package cli is the command line of sluice: one file for each subcommand. The
// scripts in testdata show what each of them prints.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes of the program.
const (
	exitFine   = 0
	exitFailed = 1 // it did not work, or check found errors
	exitUsage  = 2 // the command line is wrong
)

// errFound ends a command that has printed what is wrong.
var errFound = errors.New("findings were printed")

// usageError is about the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the program with the arguments of the process and returns its exit code.
func Main() int {
	command, err := root().ExecuteContextC(context.Background())
	return exitCode(command, err, os.Stderr)
}

func exitCode(command *cobra.Command, err error, stderr io.Writer) int {
	var usage usageError
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errFound):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %v\n%s --help tells more\n", command.CommandPath(), err, command.CommandPath())
		return exitUsage
	case strings.HasPrefix(err.Error(), "unknown command"):
		fmt.Fprintf(stderr, "sluice: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "sluice: %v\n", err)
	return exitFailed
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "sluice",
		Short: "An HTTP gateway that speaks the Kubernetes Gateway API",
		Long: `Sluice reads Gateway API objects, from YAML files or from a Kubernetes API
server, and serves the traffic that they describe with a data plane of its own.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err} })
	c.AddCommand(runCommand(), controllerCommand(), checkCommand(), explainCommand(), getCommand(), echoCommand(), versionCommand(), validateWorkerCommand())
	for _, command := range c.Commands() {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			if words, ok := f.Value.(*choice); ok {
				_ = command.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words.allowed, cobra.ShellCompDirectiveNoFileComp)) // no flag is there twice
			}
		})
	}
	return c
}

// arguments turns what is wrong with the arguments of a command into a usageError.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// somePaths wants at least one path.
func somePaths(_ *cobra.Command, paths []string) error {
	if len(paths) == 0 {
		return errors.New("give the files or folders with the objects, or - for standard input")
	}
	return nil
}

// choice is a flag that has one of a few words as its value.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }

func (c *choice) Set(value string) error {
	for _, a := range c.allowed {
		if value == a {
			c.value = value
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
}

// oneOf is a choice whose default is the first word.
func oneOf(allowed ...string) *choice { return &choice{value: allowed[0], allowed: allowed} }
