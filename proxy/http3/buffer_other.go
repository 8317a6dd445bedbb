//go:build !unix

package http3

import "net"

func readBuffer(*net.UDPConn) int { return 0 }
