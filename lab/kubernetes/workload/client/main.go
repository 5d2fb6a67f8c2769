// A client that keeps its own truth: client TARGET CONTROL KEPT NEW_PER_SECOND PAUSE AGE.
//
// It speaks HTTP/1.1 by hand, because client libraries ask again on another connection and do not say so. KEPT connections ask, wait for the
// answer and for PAUSE, and ask again; beside them NEW_PER_SECOND connections are made for one request each. Before a kept connection is
// used again it looks whether the other side has hung up: what is then closed has lost nothing. After AGE it is used no more; 0s: it is
// used for ever.
//
// GET CONTROL/now tells the truth so far; GET CONTROL/end lets nobody ask any more, waits for the last answers, and tells it.
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

func main() {
	target, control := os.Args[1], os.Args[2]
	kept, perSecond := number(os.Args[3]), number(os.Args[4])
	pause, age := duration(os.Args[5]), duration(os.Args[6])
	ending := make(chan struct{})
	var asking sync.WaitGroup
	asking.Add(1)
	go func() {
		defer asking.Done()
		await(target)
		for n := 0; n < kept; n++ {
			asking.Add(1)
			go func() {
				defer asking.Done()
				keep(target, pause, age, ending)
			}()
		}
		if perSecond > 0 {
			renew(target, time.Second/time.Duration(perSecond), ending, &asking)
		}
	}()
	var once sync.Once
	http.HandleFunc("/now", func(w http.ResponseWriter, _ *http.Request) { tell(w) })
	http.HandleFunc("/end", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(ending) })
		asking.Wait()
		tell(w)
	})
	log.Fatal(http.ListenAndServe(control, nil))
}

const settled = 3 * time.Second

// Waits until the Service is there: before that its address belongs to nobody, and the cluster refuses for it.
func await(target string) {
	for {
		conn, err := net.DialTimeout("tcp", target, dialPatience)
		if err == nil {
			count(func(t *Truth) { t.Connected++ })
			ask(conn.(*net.TCPConn), false)
			conn.Close()
			// The proxy learns of the servers behind an address one after the other; the connections are to go to all.
			time.Sleep(settled)
			return
		}
		count(func(t *Truth) { t.Early++ })
		time.Sleep(100 * time.Millisecond)
	}
}

// Asks again and again on one connection, and on another one when it has ended.
func keep(target string, pause, age time.Duration, ending <-chan struct{}) {
	for {
		conn, born := dial(target), time.Now()
		for conn != nil && !over(ending, pause) {
			if age > 0 && time.Since(born) > age {
				break
			}
			if hungUp(conn) {
				count(func(t *Truth) { t.ClosedIdle++ })
				break
			}
			if !ask(conn, true) {
				break
			}
		}
		if conn != nil {
			conn.Close()
		}
		if over(ending, pause) {
			return
		}
	}
}

// Makes a connection each interval, whether or not those before have been answered.
func renew(target string, interval time.Duration, ending <-chan struct{}, asking *sync.WaitGroup) {
	for !over(ending, interval) {
		asking.Add(1)
		go func() {
			defer asking.Done()
			if conn := dial(target); conn != nil {
				ask(conn, false)
				conn.Close()
			}
		}()
	}
}

// Waits, and tells whether the end has come.
func over(ending <-chan struct{}, pause time.Duration) bool {
	select {
	case <-ending:
		return true
	case <-time.After(pause):
		return false
	}
}

func tell(w http.ResponseWriter) {
	count(func(t *Truth) {
		if err := json.NewEncoder(w).Encode(t); err != nil {
			log.Print(err)
		}
	})
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		log.Fatal(err)
	}
	return d
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}
