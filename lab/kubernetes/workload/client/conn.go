package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Longer than any answer takes, and than the grace of any pod.
const patience = 40 * time.Second

const dialPatience = 5 * time.Second

// Returns nil when no connection came of it.
func dial(target string) *net.TCPConn {
	began := time.Now()
	conn, err := net.DialTimeout("tcp", target, dialPatience)
	count(func(t *Truth) {
		switch {
		case err == nil:
			t.Connected++
		case errors.Is(err, syscall.ECONNREFUSED):
			t.Refused++
		case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
			t.Unreachable++
		case errors.Is(err, os.ErrDeadlineExceeded) || timedOut(err):
			t.DialTimeout++
		default:
			t.DialOther++
		}
		if err != nil {
			t.Failed = append(t.Failed, Failure{err.Error(), began.UnixMilli()})
		}
	})
	if err != nil {
		return nil
	}
	return conn.(*net.TCPConn)
}

// Asks once and waits for the whole answer; false when the connection cannot be used again.
func ask(conn *net.TCPConn, again bool) bool {
	request := "GET / HTTP/1.1\r\nHost: lab\r\n"
	if !again {
		request += "Connection: close\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		count(func(t *Truth) { t.NotWritten++ })
		return false
	}
	count(func(t *Truth) { t.Asked++ })
	conn.SetReadDeadline(time.Now().Add(patience))
	got, whole, err := readAnswer(conn)
	if whole {
		count(func(t *Truth) { t.Answered++ })
		return again
	}
	count(func(t *Truth) {
		how := "reset"
		switch {
		case errors.Is(err, io.EOF):
			how = "eof"
			t.LostEOF++
		case timedOut(err):
			how = "silent"
			t.LostSilent++
		default:
			t.LostReset++
		}
		t.Lost = append(t.Lost, Loss{conn.LocalAddr().String(), how, err.Error(), got, again, time.Now().UnixMilli()})
	})
	return false
}

// The length of what came, and whether it is a whole answer: head, and a body as long as the head says.
func readAnswer(conn *net.TCPConn) (int, bool, error) {
	var answer []byte
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if wanted := wholeLength(answer); wanted > 0 && len(answer) >= wanted {
			return len(answer), true, nil
		}
		if err != nil {
			return len(answer), false, err
		}
	}
}

// How long the whole answer is; 0 until its head has come.
func wholeLength(answer []byte) int {
	head := bytes.Index(answer, []byte("\r\n\r\n"))
	if head < 0 {
		return 0
	}
	for _, line := range bytes.Split(answer[:head], []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		if string(name) == "Content-Length" {
			if length, err := strconv.Atoi(string(value)); err == nil {
				return head + 4 + length
			}
		}
	}
	return 0
}

// Whether the other side has closed the connection, as far as this side knows yet.
func hungUp(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
		return true
	})
	return gone || err != nil
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
