package cli

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raiseBinding lets the program listen on ports below 1024 where it has been
// permitted to: a container's program may be given the capability without having
// it in effect, so that it starts also where it is not given. Threads to come
// inherit it.
func raiseBinding() error {
	const bind = 1 << unix.CAP_NET_BIND_SERVICE
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&head, &sets[0]); err != nil {
		return err
	}
	if sets[0].Permitted&bind == 0 || sets[0].Effective&bind != 0 {
		return nil
	}
	sets[0].Effective |= bind
	_, _, failed := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&sets[0])), 0)
	if failed != 0 {
		return failed
	}
	return nil
}
