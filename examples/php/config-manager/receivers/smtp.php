<?php
// A mail server to try things out with: prints its address, then each e-mail as a line of JSON. It takes everything.

$server = stream_socket_server('tcp://127.0.0.1:0');
echo 'smtp://', stream_socket_get_name($server, false), "\n";
while ($connection = @stream_socket_accept($server, 30.0)) {            // ends when nobody has come for so long
    fwrite($connection, "220 ready\r\n");
    while (($line = fgets($connection)) !== false) {
        $command = strtoupper(substr($line, 0, 4));
        if ($command === 'DATA') {
            fwrite($connection, "354 go on, and end with a dot\r\n");
            for ($mail = ''; !in_array($line = fgets($connection), [".\r\n", false], true);) {
                $mail .= $line;
            }
            echo json_encode($mail, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
        }
        fwrite($connection, $command === 'QUIT' ? "221 bye\r\n" : "250 ok\r\n");
    }
    fclose($connection);
}
