package file_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/control/source/file"
)

func TestChildThatDies(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%02d.yaml", i)), configMap(fmt.Sprintf("c%d", i), "1"))
	}
	path := filepath.Join(dir, "10.yaml")
	writeFile(t, path, configMap(deadly, "1"))
	f := follow(t, file.Options{Paths: []string{dir}, Isolated: true})
	if !f.tells("could not be validated")() || !f.tells("exit status 3: dying as asked")() {
		t.Errorf("told: %s", f.told())
	}
	for i := range 20 {
		if want := map[bool]string{true: "", false: "1"}[i == 10]; f.data(fmt.Sprintf("c%d", i)) != want {
			t.Errorf("c%d is %q, want %q", i, f.data(fmt.Sprintf("c%d", i)), want)
		}
	}
	replaceFile(t, path, configMap("c10", "2"))
	f.until(f.has("c10", "2"))
	f.until(f.tellsNothing)
}

// TestChildThatHangs refuses the document that gets no answer, and no other.
func TestChildThatHangs(t *testing.T) {
	file.LimitSilence(t, 2*time.Second)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.yaml"), configMap("a", "1"))
	path := filepath.Join(dir, "b.yaml")
	writeFile(t, path, configMap(stunning, "1"))
	f := follow(t, file.Options{Paths: []string{dir}, Isolated: true})
	if !f.tells("could not be validated: the process that validates gave no answer for 2s")() || f.data("a") != "1" {
		t.Errorf("a is %q; told: %s", f.data("a"), f.told())
	}
	replaceFile(t, path, configMap("b", "1"))
	f.until(f.has("b", "1"))
	f.until(f.tellsNothing)
}

// TestChildOfAProgramThatIsGone validates after the file of the program that runs
// was removed or replaced, as by an upgrade.
func TestChildOfAProgramThatIsGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux runs a program without its file")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const variable = "SLUICE_TEST_REMOVES_ITSELF"
	if os.Getenv(variable) == "" {
		runCopy(t, self, variable+"=yes")
		return
	}
	if err := os.Remove(self); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.yaml")
	writeFile(t, path, configMap("a", "1"))
	if contents := load(t, file.Options{Paths: []string{path}, Isolated: true}); len(contents.Diagnostics) > 0 {
		t.Error(describe(contents.Update))
	}
}

// runCopy runs this test once more, in a copy of its program.
func runCopy(t *testing.T, program, variable string) {
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, "-test.run=^"+t.Name()+"$", "-test.timeout="+patience.String())
	command.Env = append(os.Environ(), variable)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
