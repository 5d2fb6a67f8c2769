package main

import "sync"

// Truth is what the clients saw, each dial and each request under one name.
type Truth struct {
	// Dials that failed before the first one that did not.
	Early int `json:"early"`
	// All others, by what came of them.
	Connected   int `json:"connected"`
	Refused     int `json:"refused"`
	Unreachable int `json:"unreachable"`
	DialTimeout int `json:"dial_timeout"`
	DialOther   int `json:"dial_other"`
	// Requests that the kernel took whole, by what came of them. A connection has one lost request at most: it is its last.
	Asked      int `json:"asked"`
	Answered   int `json:"answered"`
	LostReset  int `json:"lost_reset"`
	LostEOF    int `json:"lost_eof"`
	LostSilent int `json:"lost_silent"`
	// Requests that could not be written, as the connection was known to be gone.
	NotWritten int `json:"not_written"`
	// Kept connections that the other side closed while nothing was asked.
	ClosedIdle int `json:"closed_idle"`
	// Of each lost request: its connection, seen from here.
	Lost []Loss `json:"lost"`
	// Of each dial that failed.
	Failed []Failure `json:"failed"`
}

// Failure is one dial that gave no connection.
type Failure struct {
	How string `json:"how"`
	// When it began.
	At int64 `json:"at_unix_ms"`
}

// Loss is one request without its answer.
type Loss struct {
	Local  string `json:"local"`
	How    string `json:"how"`
	Detail string `json:"detail"`
	// Bytes of the answer that had come.
	Got int `json:"got"`
	// Whether the connection had answered before.
	Kept bool  `json:"kept"`
	At   int64 `json:"at_unix_ms"`
}

var (
	mutex sync.Mutex
	truth = Truth{Lost: []Loss{}, Failed: []Failure{}}
)

func count(change func(*Truth)) {
	mutex.Lock()
	defer mutex.Unlock()
	change(&truth)
}
