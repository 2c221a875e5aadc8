<?php
// A webhook to try things out with: prints its address, then each message as a line of JSON. One for a site is in ../../webhook.

$server = stream_socket_server('tcp://127.0.0.1:0');
echo 'http://', stream_socket_get_name($server, false), "/\n";
while ($connection = @stream_socket_accept($server, 30.0)) {            // ends when nobody has come for so long
    $length = 0;
    while (($line = trim((string) fgets($connection))) !== '') {
        if (preg_match('/^content-length: *(\d+)/i', $line, $found)) {
            $length = (int) $found[1];
        }
    }
    $body = (string) stream_get_contents($connection, $length);
    fwrite($connection, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    fclose($connection);
    echo $body, "\n";
}
