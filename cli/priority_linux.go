package cli

import (
	"os"
	"strconv"
	"syscall"
)

// modest is the nice value of work that must not slow requests down.
const modest = 10

// yieldThread lets every other thread go before the calling one, as long as that
// thread lives. On Linux a priority is a thread's own.
func yieldThread() {
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), modest) // it works without, only less quietly
}

// yieldProcess does so for all threads of this process; those to come inherit it.
func yieldProcess() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		if id, err := strconv.Atoi(thread.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, modest)
		}
	}
}
