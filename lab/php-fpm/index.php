<?php
// / answers at once, /slow when the gate in the working folder does.
if ($_SERVER["REQUEST_URI"] === "/slow") {
    $gate = stream_socket_client("unix://gate");
    fwrite($gate, "GET /slow HTTP/1.0\r\n\r\n");
    stream_get_contents($gate);
}
echo str_repeat("x", 150);
