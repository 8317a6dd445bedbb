//go:build unix

package http3

import (
	"net"
	"syscall"
)

// readBuffer asks the system.
func readBuffer(udp *net.UDPConn) (size int) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return 0
	}
	if raw.Control(func(fd uintptr) { size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF) }) != nil || err != nil {
		return 0
	}
	return size
}
