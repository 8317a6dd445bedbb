// Package page reads the documentation as its reader does. In a page, a block
//
//	```yaml NAME   is a file that the reader saves
//	```console     has commands after "$ ", each followed by what it prints
//
// In the output, "..." stands for any text within a line and, alone on a line,
// for any lines. A command that ends in "&" runs until the end of the page. A
// block "console eventually" has commands that are repeated until they print
// what the page says, for what takes effect a moment later.
package page

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is a file to save, or commands to run.
type Block struct {
	// File is the name of the file, and Content what is in it.
	File, Content string
	Steps         []Step
	// Eventually says that the steps are repeated.
	Eventually bool
}

// Step is a command and what it prints.
type Step struct {
	Command string
	// Background commands run until the end of the page.
	Background bool
	Want       string
}

var block = regexp.MustCompile("(?ms)^```(yaml|console)([^\n]*)\n(.*?)^```$")

// Read returns the blocks of a page that its reader acts on.
func Read(content string) ([]Block, error) {
	var blocks []Block
	for _, b := range block.FindAllStringSubmatch(content, -1) {
		argument := strings.TrimSpace(b[2])
		switch {
		case b[1] == "console":
			steps, err := read(b[3])
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, Block{Steps: steps, Eventually: argument == "eventually"})
		case argument != "":
			blocks = append(blocks, Block{File: argument, Content: b[3]})
		}
	}
	return blocks, nil
}

// read splits a console block. A command that ends in a backslash goes on in the
// next line.
func read(console string) ([]Step, error) {
	var steps []Step
	continued := false
	for line := range strings.Lines(console) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps = append(steps, Step{Command: command})
		case len(steps) == 0:
			return nil, fmt.Errorf("a console block begins with a command after \"$ \", not with %q", line)
		case continued:
			command = line
			steps[len(steps)-1].Command += line
		default:
			steps[len(steps)-1].Want += line
		}
		continued = (isCommand || continued) && strings.HasSuffix(command, "\\\n")
	}
	for i := range steps {
		s := &steps[i]
		s.Command = strings.TrimSpace(s.Command)
		s.Command, s.Background = strings.CutSuffix(s.Command, "&")
		s.Command = strings.TrimSpace(s.Command)
	}
	return steps, nil
}

// gap is the space between columns, whose width may change with what is in them.
var gap = regexp.MustCompile(` {2,}`)

// Printed reports whether a command printed what the page says.
func (s Step) Printed(output string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(s.Want) {
		line = strings.TrimRight(line, " \n")
		if line == "..." {
			pattern.WriteString(`(?:.*(?:\n|\z))*?`)
			continue
		}
		parts := strings.Split(line, "...")
		for i := range parts {
			parts[i] = gap.ReplaceAllString(regexp.QuoteMeta(parts[i]), gap.String())
		}
		pattern.WriteString(strings.Join(parts, ".*?") + `[ \r]*(?:\n|\z)`)
	}
	return regexp.MustCompile(`\A` + pattern.String() + `\z`).MatchString(output)
}
