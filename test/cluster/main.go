//go:build linux

// Command cluster brings up a real Kubernetes to test in, in namespaces of its
// own, and leaves nothing behind, however it ends. README.md tells how to use it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
)

const usage = `usage:
  cluster up   [--name NAME] [--nodes N] [--image TAR]… [--crds=false] [--sluice=false]
  cluster run  [the flags of up] -- COMMAND…
  cluster exec [--name NAME] -- COMMAND…
  cluster load [--name NAME] TAR…

up brings a cluster up and stays until it is stopped. exec runs a command in it,
load gives it images. run is all in one: up, the command, down; it ends with the
command's code.
`

// request is what the command line asks for.
type request struct {
	verb   string
	name   string
	nodes  int
	images []string
	crds   bool
	sluice bool
	args   []string // the command of run and exec, the files of load
}

// names are what a cluster may be called: cgroups and files are named after it.
var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// parse reads a command line without the program's name.
func parse(args []string, output io.Writer) (request, error) {
	if len(args) == 0 {
		fmt.Fprint(output, usage)
		return request{}, flag.ErrHelp
	}
	r := request{verb: args[0]}
	flags := flag.NewFlagSet(r.verb, flag.ContinueOnError)
	flags.SetOutput(output)
	flags.Usage = func() { fmt.Fprint(output, usage); flags.PrintDefaults() }
	flags.StringVar(&r.name, "name", "default", "the cluster's `name`; clusters of different names run at once")
	switch r.verb {
	case "up", "run":
		flags.IntVar(&r.nodes, "nodes", 1, "how many nodes, 1 to 9")
		flags.BoolVar(&r.crds, "crds", true, "install the CRDs of the Gateway API and of Sluice")
		flags.BoolVar(&r.sluice, "sluice", true, "build Sluice and load it as the image sluice:dev")
		flags.Func("image", "an image to load, a `tar`; may be repeated", func(s string) error {
			r.images = append(r.images, s)
			return nil
		})
	case "exec", "load":
	default:
		fmt.Fprint(output, usage)
		return r, fmt.Errorf("there is no command %q", r.verb)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return r, err
	}
	r.args = flags.Args()
	return r, r.check()
}

func (r request) check() error {
	switch {
	case !names.MatchString(r.name):
		return fmt.Errorf("--name %q: want up to 32 lower-case letters, digits and dashes", r.name)
	case (r.verb == "up" || r.verb == "run") && (r.nodes < 1 || r.nodes > 9):
		return fmt.Errorf("--nodes %d: want 1 to 9", r.nodes)
	case r.verb == "up" && len(r.args) > 0:
		return fmt.Errorf("up takes no argument %q; to run a command in the cluster and end, use run", r.args[0])
	case (r.verb == "run" || r.verb == "exec") && len(r.args) == 0:
		return fmt.Errorf("%s needs a command behind --", r.verb)
	case r.verb == "load" && len(r.args) == 0:
		return errors.New("load needs a tar")
	}
	return nil
}

func main() {
	// A child is killed when the thread that started it ends, and namespaces are
	// joined by a thread: all that happens on this one.
	runtime.LockOSThread()
	if err := inside(os.Args[1:]); err != errNotInside {
		exit(err)
	}
	r, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		exit(err)
	}
	diesWithParent()
	switch r.verb {
	case "up", "run":
		err = up(r)
	case "exec":
		err = execute(r.name, r.args)
	case "load":
		err = load(r.name, r.args)
	}
	exit(err)
}

var (
	errNotInside = errors.New("not a command of the cluster's own processes")
	errReported  = errors.New("told to the process that started this one")
)

// inside runs the parts of the program that it starts itself, in the cluster.
func inside(args []string) error {
	if len(args) == 0 {
		return errNotInside
	}
	switch args[0] {
	case "inside-init":
		return initialize()
	case "inside-node":
		return node()
	case "inside-exec":
		return become(args[1:])
	case "inside-load":
		return importEverywhere(args[1:])
	}
	return errNotInside
}

// exit ends with the code of a command that ran, or with a message and 1.
func exit(err error) {
	var exited *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, errReported):
		os.Exit(1)
	case errors.As(err, &exited) && exited.ExitCode() > 0:
		os.Exit(exited.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "cluster:", err)
	os.Exit(1)
}
