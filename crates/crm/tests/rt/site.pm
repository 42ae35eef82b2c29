# A Request Tracker for one test run. The test writes its port and folder into the environment.
Set($rtname, 'baton.test');
Set($Organization, 'baton.test');
Set($WebPath, '');
Set($WebDomain, '127.0.0.1');
Set($WebPort, $ENV{BATON_RT_PORT});
Set($WebBaseURL, "http://127.0.0.1:$ENV{BATON_RT_PORT}");
Set($DatabaseType, 'SQLite');
Set($DatabaseName, "$ENV{BATON_RT_DIR}/rt.db");
Set($MailCommand, 'testfile');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'error');
Set($RestrictReferrer, 0);
Set($WebSessionClass, 'Apache::Session::File');
Set($HTMLFormatter, 'core');
1;
